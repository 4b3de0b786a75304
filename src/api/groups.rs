//! The groups resource: lists, and one group read, created, replaced, patched and deleted.
//!
//! Each handler is given a request that is [`Allowed`]. What its verb asks for is validated always, and done unless
//! the request's method only reads.

use crate::document::{DocId, Document, Revision};
use crate::kazoo::filter::Filter;
use crate::kazoo::group::{self, Author};
use crate::kazoo::page::{self, PageSize};
use crate::kazoo::schema::{GROUPS, validation_error};
use crate::kazoo::views;
use crate::store::{self, Query, Row, Select};

use serde_json::json;
use serde_json::value::RawValue;

use super::Allowed;
use super::answer::{Answer, Data, Paging, Shown};
use super::body::ContentType;
use super::error::Error;

/// How many rows are asked for at a time where it is not known how many are needed.
const BATCH: usize = 1_000;

/// How many documents are read at a time for a filter to look at.
const FILTERED_BATCH: usize = 200;

/// How often a patch is tried again on top of somebody else's change.
const PATCH_ATTEMPTS: usize = 10;

/// `GET …/groups`
pub async fn list(allowed: &Allowed<'_>) -> Result<Answer, Error> {
    let request = allowed.incoming;
    let is_paged = allowed.path.has_pages && request.is_true("paginate", true);
    let size = if is_paged { PageSize::of_text(request.parameter("page_size").as_deref()) } else { PageSize::ALL };
    let filter = Filter::of_query(request.query.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let start = request.parameter("start_key").map(|text| page::decode_start_key(&text));

    let (view, select) = match &allowed.path.user {
        None => (views::GROUPS, Select::From(start.clone())),
        Some(user) => (views::GROUPS_BY_USER, Select::Key(user.clone(), start.clone())),
    };
    let limit = match filter.is_empty() {
        // a page, and the row after it
        true => size.get().saturating_add(1).min(BATCH),
        false => FILTERED_BATCH,
    };
    let query = Query { select, limit, documents: !filter.is_empty() };
    let database = allowed.account.id.database();
    let rows = store::rows(allowed.api.store.as_ref(), &database, &view, query);
    // both views' rows are found again by their group's id: it is the key of one, and orders the other under its key
    let key = |row: &Row| row.id.clone();
    let accepts = |row: &Row| row.document.as_ref().is_none_or(|document| filter.accepts(document));
    let page = page::walk(rows, size, start, key, accepts).await?;

    let encoded = |key: Option<String>| key.map(|key| page::encode_start_key(&key));
    let found = page.rows.len();
    Ok(Answer {
        revision: match (found, request.only_reads()) {
            (0, _) => Shown::None,
            (_, true) => Shown::Digest,
            (_, false) => Shown::Automatic,
        },
        page: is_paged.then(|| Paging { size: found, start: encoded(page.start), next: encoded(page.next) }),
        data: Data::List(page.rows.into_iter().map(|row| row.value).collect()),
        ..Answer::default()
    })
}

/// `GET …/groups/{id}`
pub async fn read(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let (group, revision) = load(allowed, id).await?;
    Ok(Answer::document(group::public(&group).to_raw(), Some(revision)))
}

/// `PUT …/groups`
pub async fn create(allowed: &Allowed<'_>) -> Result<Answer, Error> {
    let data = allowed.data();
    let fields = validated(data)?;
    let id = match Document::from_raw(data).and_then(|data| named_id(&data)) {
        Some(id) => id?,
        None => allowed.api.world.document_id(),
    };
    if allowed.incoming.only_reads() {
        // what is yet to be created can't be read
        return Err(Error::NotFound);
    }
    allowed.conditions().allow_creating()?;
    must_be_taken(allowed)?;
    let mut group = group::create(&id, fields, &author(allowed));
    group::name_by_first_value(&mut group, data);
    let revision = write(allowed, &group).await?;
    let shown = Answer::document(group::public(&group).to_raw(), Some(revision));
    Ok(Answer { created: true, created_id: Some(id.to_string()), ..shown })
}

/// `POST …/groups/{id}`
pub async fn replace(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let data = allowed.data();
    let fields = validated(data)?;
    let (existing, revision) = load(allowed, id).await?;
    let mut group = group::replace(&existing, fields, &author(allowed));
    group::name_by_first_value(&mut group, data);
    let revision = write_over(allowed, &group, revision).await?;
    Ok(Answer::document(group::public(&group).to_raw(), Some(revision)))
}

/// `PATCH …/groups/{id}`: on top of what others wrote meanwhile, unless the client says which revision it changes.
pub async fn patch(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let mut attempts = if allowed.conditions().names_a_revision() { 1 } else { PATCH_ATTEMPTS };
    loop {
        attempts -= 1;
        match patch_once(allowed, id).await {
            Err(Error::Store(store::Error::Conflict)) if attempts > 0 => {}
            done => return done,
        }
    }
}

async fn patch_once(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let (existing, revision) = load(allowed, id).await?;
    let fields = match Document::from_raw(allowed.data()) {
        Some(changes) => GROUPS.validate(group::merge(&existing, changes))?,
        None => validated(allowed.data())?,
    };
    let group = group::replace(&existing, fields, &author(allowed));
    let revision = write_over(allowed, &group, revision).await?;
    Ok(Answer::document(group::public(&group).to_raw(), Some(revision)))
}

/// `DELETE …/groups/{id}`: softly. The document stays, and is found by nobody.
pub async fn delete(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let (existing, revision) = load(allowed, id).await?;
    let group = group::delete(&existing, &author(allowed));
    let revision = write_over(allowed, &group, revision).await?;
    Ok(Answer::document(group::public_deleted(&group).to_raw(), Some(revision)))
}

/// The fields of a client's data, by the schema.
fn validated(data: &RawValue) -> Result<Document, Error> {
    Ok(match Document::from_raw(data) {
        Some(data) => GROUPS.validate(group::submitted(data))?,
        None => GROUPS.validate_raw(data)?,
    })
}

/// The id that a client gives its new group, as `id` or `_id`.
fn named_id(data: &Document) -> Option<Result<DocId, Error>> {
    let raw = data.get("id").or_else(|| data.get("_id"))?;
    let id = data.text("id").or_else(|| data.text("_id")).and_then(|id| id.parse().ok());
    Some(id.ok_or_else(|| {
        let message = "The id must be a text that does not begin with an underscore and holds no slash";
        validation_error("id", "pattern", json!({ "message": message, "value": raw })).into()
    }))
}

/// The live group of this id, and its revision.
async fn load(allowed: &Allowed<'_>, id: &str) -> Result<(Document, Revision), Error> {
    let missing = || Error::BadIdentifier(id.to_owned());
    let doc_id = id.parse().map_err(|_| missing())?;
    let database = allowed.account.id.database();
    let found = allowed.api.store.get(&database, &doc_id).await?.filter(group::is_live).ok_or_else(missing)?;
    let revision = found.revision().ok_or_else(|| store::Error::Corrupt(format!("{id} has no revision")))?;
    Ok((found, revision))
}

/// Writes a group over its revision, unless the request only reads; gives the revision that is shown.
async fn write_over(allowed: &Allowed<'_>, group: &Document, revision: Revision) -> Result<Revision, Error> {
    if allowed.incoming.only_reads() {
        return Ok(revision);
    }
    allowed.conditions().allow_writing(&revision.to_string())?;
    if allowed.incoming.http.method() != "DELETE" {
        must_be_taken(allowed)?;
    }
    write(allowed, group).await
}

async fn write(allowed: &Allowed<'_>, group: &Document) -> Result<Revision, Error> {
    Ok(allowed.api.store.put(&allowed.account.id.database(), group).await?)
}

/// A body of a form that holds no data is refused once all else is well.
fn must_be_taken(allowed: &Allowed<'_>) -> Result<(), Error> {
    match allowed.incoming.content_type() {
        ContentType::Other => Err(Error::UnsupportedMediaType),
        ContentType::Json | ContentType::Form | ContentType::Multipart => Ok(()),
    }
}

fn author(allowed: &Allowed<'_>) -> Author {
    Author {
        account: allowed.account.id,
        auth_account: allowed.known.account,
        auth_user: allowed.known.user.clone(),
        request_id: allowed.frame.request_id.clone(),
        now: allowed.api.world.gregorian_seconds(),
    }
}
