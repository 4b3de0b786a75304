//! The groups resource: lists, and one group read, created, replaced, patched and deleted.
//!
//! Each handler is given a request that is [`Allowed`]. What its verb asks for is validated always, and done unless
//! the request's method only reads.

use crate::document::{DocId, Document, Revision, json};
use crate::kazoo::erlang::{Term, is_empty};
use crate::kazoo::filter::Filter;
use crate::kazoo::group::{self, Author};
use crate::kazoo::page::{self, PageSize};
use crate::kazoo::schema::{GROUPS, validation_error};
use crate::kazoo::views;
use crate::store::{self, Query, Row};

use std::sync::Arc;

use serde_json::json as value;
use serde_json::value::RawValue;

use super::Allowed;
use super::answer::{Answer, Data, Paging, Shown};
use super::body::ContentType;
use super::error::Error;

/// How many rows are read at a time at the most.
const BATCH: usize = 1_000;

/// How many documents are read at a time for a filter to look at.
const FILTERED_BATCH: usize = 200;

/// How often a patch is tried again on top of somebody else's change.
const PATCH_ATTEMPTS: usize = 10;

/// `GET …/groups`
pub async fn list(allowed: &Allowed<'_>) -> Result<Answer, Error> {
    let request = allowed.incoming;
    let is_paged = allowed.path.has_pages && request.is_true("paginate", true);
    let size = if is_paged { page_size(allowed).await? } else { PageSize::ALL };
    let filter = Filter::of_query(request.query.iter().map(|(key, value)| (key.as_str(), value.as_deref())));
    let start = match request.has_bare("start_key") {
        true => Some(Term::True),
        false => request.parameter("start_key").map(|text| Term::decode(&text)),
    };
    let from = match &start {
        Some(Term::Binary(key)) => Some(key.clone()),
        // it comes before all texts
        Some(Term::True) | None => None,
    };

    let (view, query) = match (&allowed.path.user, from) {
        (None, None) => (views::GROUPS, Query::all()),
        (None, Some(group)) => (views::GROUPS, Query::from_key(group)),
        (Some(user), None) => (views::GROUPS_BY_USER, Query::of_key(user)),
        (Some(user), Some(group)) => (views::GROUPS_BY_USER, Query::of_key_from(user, group)),
    };
    let query = match filter.is_empty() {
        // a page, and the row after it
        true if is_paged => query.batch(size.get().saturating_add(1).min(BATCH)),
        true => query,
        false => query.batch(FILTERED_BATCH).with_documents(),
    };
    let database = allowed.account.id.database();
    let rows = allowed.api.store.rows(&database, &view, query);
    // both views' rows are found again by their group's id: it is the key of one, and orders the other under its key
    let key = |row: &Row| Term::Binary(row.id.clone());
    let page = page::walk(rows, size, start, key, |row| passes(row, &filter)).await?;

    let encoded = |key: Option<Term>| key.map(|key| key.encode());
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

/// Whether a row is shown. One whose document went away after the row was made passes no filter.
fn passes(row: &Row, filter: &Filter) -> bool {
    filter.is_empty() || row.document.as_ref().is_some_and(|document| filter.accepts(document))
}

/// How many rows the client asks for, or else the system's configuration.
async fn page_size(allowed: &Allowed<'_>) -> Result<PageSize, Error> {
    let default = match allowed.api.auth.system().await?.page_size {
        Some(size) => size,
        None => PageSize::DEFAULT,
    };
    Ok(PageSize::of_text(allowed.incoming.parameter("page_size").as_deref(), default))
}

/// `GET …/groups/{id}`
pub async fn read(allowed: &Allowed<'_>, id: &str) -> Result<Answer, Error> {
    let (group, revision) = load(allowed, id).await?;
    Ok(Answer::document(group::public(&group).to_raw(), Some(revision)))
}

/// `PUT …/groups`
pub async fn create(allowed: &Allowed<'_>) -> Result<Answer, Error> {
    let data = allowed.data();
    let fields = validated(allowed, data).await?;
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
    let fields = validated(allowed, data).await?;
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
    // the changes are checked on top of whatever has the id, and alone where nothing has it
    let found = find(allowed, id).await?;
    let fields = match (&found, Document::from_raw(allowed.data())) {
        (Some(existing), Some(changes)) => {
            let merged = group::merge(existing, changes);
            allowed.api.schemas.named(GROUPS).await?.validate(merged)?
        }
        _ => validated(allowed, allowed.data()).await?,
    };
    let (existing, revision) = live(id, found)?;
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
async fn validated(allowed: &Allowed<'_>, data: &RawValue) -> Result<Document, Error> {
    let schema = allowed.api.schemas.named(GROUPS).await?;
    Ok(match Document::from_raw(data) {
        Some(data) => schema.validate(group::submitted(data))?,
        None => schema.validate_raw(data)?,
    })
}

/// The id that a client gives its new group: the first of the places where Kazoo looks for one (`kz_doc:id`), unless
/// that is empty.
fn named_id(data: &Document) -> Option<Result<DocId, Error>> {
    const PLACES: [&[&str]; 5] = [&["_id"], &["id"], &["ID"], &["value", "id"], &["doc", "_id"]];
    let at = |place: &[&str]| {
        let (first, rest) = place.split_first()?;
        let value = json::tree(data.get(first)?).ok()?;
        let value = rest.iter().try_fold(&value, |value, key| value.get(key))?.clone();
        Some(value).filter(|value| !value.is_null())
    };
    let given = PLACES.iter().find_map(|place| at(place)).filter(|given| !is_empty(given))?;
    let id = given.as_str().and_then(|id| id.parse().ok());
    Some(id.ok_or_else(|| {
        let message = "The id must be a text that does not begin with an underscore and holds no slash";
        validation_error("id", "pattern", value!({ "message": message, "value": given })).into()
    }))
}

/// The live group of this id, and its revision.
async fn load(allowed: &Allowed<'_>, id: &str) -> Result<(Arc<Document>, Revision), Error> {
    live(id, find(allowed, id).await?)
}

/// What has this id and is not deleted, whatever it is.
async fn find(allowed: &Allowed<'_>, id: &str) -> Result<Option<Arc<Document>>, Error> {
    let Ok(doc_id) = id.parse() else { return Ok(None) };
    let found = allowed.api.store.get(&allowed.account.id.database(), &doc_id).await?;
    Ok(found.filter(|found| !found.is_true("pvt_deleted")))
}

/// What was found, as a group with its revision.
fn live(id: &str, found: Option<Arc<Document>>) -> Result<(Arc<Document>, Revision), Error> {
    let found = found.filter(|found| group::is_live(found)).ok_or_else(|| Error::BadIdentifier(id.to_owned()))?;
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
        auth_account: allowed.identity.account,
        auth_user: allowed.identity.user.clone(),
        request_id: allowed.frame.request_id.clone(),
        now: allowed.api.world.gregorian_seconds(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_whose_document_went_away_passes_no_filter() {
        let row = |document: Option<&str>| Row {
            id: "g".to_owned(),
            key: "g".to_owned(),
            value: Arc::from(json::raw(&1)),
            document: document.map(|text| Arc::new(Document::parse(text).unwrap())),
        };
        let filter = Filter::of_query([("filter_not_name", Some("x"))]);
        assert!(passes(&row(Some("{}")), &filter));
        assert!(!passes(&row(None), &filter));
        assert!(passes(&row(None), &Filter::default()));
    }
}
