//! The documents of a kind: lists, and one document read, created, replaced, patched and deleted.
//!
//! Each handler is given a request that is [`Authorized`]. What its verb asks for is validated always, and done unless
//! the request's method only reads.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::json as value;
use serde_json::value::RawValue;

use crate::document::{DocId, Document, Revision, json};
use crate::kazoo::documents::{self, Author, is_deleted};
use crate::kazoo::erlang::{Term, is_empty};
use crate::kazoo::filter::Filter;
use crate::kazoo::kind::Kind;
use crate::kazoo::page::{self, Page, PageSize};
use crate::kazoo::schema::validation_error;
use crate::store::{self, Query, Row};

use super::answer::{Answer, Data, Paging, Shown};
use super::body::ContentType;
use super::context::Authorized;
use super::error::{Error, LONGEST_ECHO, echo};

/// How many rows are read at a time at the most.
const BATCH: usize = 1_000;

/// How many documents are read at a time for a filter to look at.
const FILTERED_BATCH: usize = 200;

/// The pauses before a patch is tried again on top of another process's change.
const PATCH_PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(5))
    .with_max_delay(Duration::from_millis(200))
    .with_max_times(10)
    .with_jitter();

/// `GET …/{noun}`
pub async fn list(authorized: &Authorized<'_>, kind: &'static Kind) -> Result<Answer, Error> {
    let request = authorized.incoming;
    let is_paged = authorized.path.has_pages && request.is_true("paginate", true);
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

    let (view, query) = match (&authorized.path.user, from) {
        (None, None) => (kind.listing, Query::all()),
        (None, Some(id)) => (kind.listing, Query::from_key(id)),
        (Some(user), None) => (kind.listing_by_user, Query::of_key(user)),
        (Some(user), Some(id)) => (kind.listing_by_user, Query::of_key_from(user, id)),
    };
    let query = if filter.is_empty() { query } else { query.batch(FILTERED_BATCH).with_documents() };
    let accepts = |row: &Row| passes(row, &filter);
    let database = authorized.account.id.database();
    let page = if is_paged {
        let size = page_size(authorized).await?;
        // a page, and the row after it
        let query = if filter.is_empty() { query.batch(size.get().saturating_add(1).min(BATCH)) } else { query };
        let rows = authorized.api.store.rows(&database, &view, query);
        // both views' rows are found again by their document's id: it is the key of one, and orders the other
        page::walk(rows, size, start, |row| Term::Binary(row.id.clone()), accepts).await?
    } else {
        Page::whole(authorized.api.store.rows(&database, &view, query.descending()), accepts).await?
    };

    let encoded = |key: Option<Term>| key.map(|key| key.encode());
    let found = page.rows.len();
    Ok(Answer {
        revision: match (found, request.only_reads()) {
            (0, _) => Shown::None,
            (_, true) => Shown::Digest,
            (_, false) => Shown::Automatic,
        },
        page: is_paged.then(|| Paging { size: found, start: encoded(page.start), next: encoded(page.next) }),
        table: &kind.table,
        data: Data::List(page.rows.into_iter().map(|row| row.value).collect()),
        ..Answer::default()
    })
}

/// Whether a row is shown. One whose document went away after the row was made passes no filter.
fn passes(row: &Row, filter: &Filter) -> bool {
    filter.is_empty() || row.document.as_ref().is_some_and(|document| filter.accepts(document))
}

/// How many rows the client asks for, or else the system's configuration.
async fn page_size(authorized: &Authorized<'_>) -> Result<PageSize, Error> {
    let default = authorized.api.auth.system().await?.page_size.unwrap_or(PageSize::DEFAULT);
    Ok(PageSize::of_text(authorized.incoming.parameter("page_size").as_deref(), default))
}

/// `GET …/{noun}/{id}`
pub async fn read(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let (document, revision) = load(authorized, kind, id).await?;
    Ok(shown(kind, documents::public(&document), revision))
}

/// `PUT …/{noun}`
pub async fn create(authorized: &Authorized<'_>, kind: &'static Kind) -> Result<Answer, Error> {
    let data = authorized.data();
    let fields = validated(authorized, kind, data).await?;
    let id = match Document::from_raw(data).and_then(|data| named_id(&data)) {
        Some(id) => id?,
        None => authorized.api.world.document_id(),
    };
    if authorized.incoming.only_reads() {
        // what is yet to be created can't be read
        return Err(Error::NotFound);
    }
    authorized.conditions().allow_creating()?;
    must_be_taken(authorized)?;
    let mut document = documents::create(&id, kind.pvt_type, fields, &author(authorized));
    documents::name_by_first_value(&mut document, data);
    let revision = write(authorized, &document).await?;
    let shown = shown(kind, documents::public(&document), revision);
    Ok(Answer { created: true, created_id: Some(id.to_string()), ..shown })
}

/// `POST …/{noun}/{id}`
pub async fn replace(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let data = authorized.data();
    let fields = validated(authorized, kind, data).await?;
    let (existing, revision) = load(authorized, kind, id).await?;
    let mut document = documents::replace(&existing, fields, &author(authorized));
    documents::name_by_first_value(&mut document, data);
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, documents::public(&document), revision))
}

/// `PATCH …/{noun}/{id}`: on top of what others wrote meanwhile, unless the client says which revision it changes.
pub async fn patch(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let once = || patch_once(authorized, kind, id);
    if authorized.conditions().names_a_revision() {
        return once().await;
    }
    let Ok(doc_id) = id.parse() else { return once().await };
    let _turn = authorized.api.writers.turn(&authorized.account.id.database(), &doc_id).await;
    once.retry(PATCH_PAUSES).when(|error| matches!(error, Error::Store(store::Error::Conflict))).await
}

async fn patch_once(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    // the changes are checked on top of whatever has the id, and alone where nothing has it
    let found = find(authorized, id).await?;
    let fields = match (&found, Document::from_raw(authorized.data())) {
        (Some(existing), Some(changes)) => {
            let merged = documents::merge(existing, changes);
            authorized.api.schemas.named(kind.schema).await?.validate(merged)?
        }
        _ => validated(authorized, kind, authorized.data()).await?,
    };
    let (existing, revision) = live(kind, id, found)?;
    let document = documents::replace(&existing, fields, &author(authorized));
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, documents::public(&document), revision))
}

/// `DELETE …/{noun}/{id}`: softly. The document stays, and is found by nobody.
pub async fn delete(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let (existing, revision) = load(authorized, kind, id).await?;
    let document = documents::delete(&existing, &author(authorized));
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, documents::public_deleted(&document), revision))
}

/// The fields of a client's data, by the schema.
async fn validated(authorized: &Authorized<'_>, kind: &'static Kind, data: &RawValue) -> Result<Document, Error> {
    let schema = authorized.api.schemas.named(kind.schema).await?;
    Ok(match Document::from_raw(data) {
        Some(data) => schema.validate(documents::submitted(data))?,
        None => schema.validate_raw(data)?,
    })
}

/// The id that a client gives its new document: the first of the places where Kazoo looks for one (`kz_doc:id`), unless
/// that is empty.
fn named_id(data: &Document) -> Option<Result<DocId, Error>> {
    const PLACES: [&[&str]; 5] = [&["_id"], &["id"], &["ID"], &["value", "id"], &["doc", "_id"]];
    let at = |place: &[&str]| {
        let (first, rest) = place.split_first()?;
        let value = rest.iter().try_fold(data.get(first)?, |value, key| json::last_field(value, key))?;
        Some(value).filter(|value| value.get() != "null")
    };
    let given = PLACES.iter().find_map(|place| at(place))?;
    if given.get().len() <= LONGEST_ECHO && is_empty(&echo(given)) {
        return None;
    }
    let id = json::text(given).and_then(|id| id.parse().ok());
    Some(id.ok_or_else(|| {
        let message = "The id must be a text that does not begin with an underscore and holds no slash";
        validation_error("id", "pattern", value!({ "message": message, "value": echo(given) })).into()
    }))
}

/// The live document of this id, and its revision.
async fn load(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<(Arc<Document>, Revision), Error> {
    live(kind, id, find(authorized, id).await?)
}

/// What has this id and is not deleted, whatever it is.
async fn find(authorized: &Authorized<'_>, id: &str) -> Result<Option<Arc<Document>>, Error> {
    let Ok(doc_id) = id.parse() else { return Ok(None) };
    let found = authorized.api.store.get(&authorized.account.id.database(), &doc_id).await?;
    Ok(found.filter(|found| !is_deleted(found)))
}

/// What was found, as a live document of its kind with its revision.
fn live(kind: &'static Kind, id: &str, found: Option<Arc<Document>>) -> Result<(Arc<Document>, Revision), Error> {
    let found = found
        .filter(|found| documents::is_live(found, kind.pvt_type))
        .ok_or_else(|| Error::BadIdentifier(id.to_owned()))?;
    let revision = found.revision().ok_or_else(|| store::Error::Corrupt(format!("{id} has no revision")))?;
    Ok((found, revision))
}

/// Writes a document over its revision, unless the request only reads; gives the revision that is shown.
async fn write_over(authorized: &Authorized<'_>, document: &Document, revision: Revision) -> Result<Revision, Error> {
    if authorized.incoming.only_reads() {
        return Ok(revision);
    }
    authorized.conditions().allow_writing(&revision.to_string())?;
    if authorized.incoming.http.method() != "DELETE" {
        must_be_taken(authorized)?;
    }
    write(authorized, document).await
}

/// A document as it is shown.
fn shown(kind: &'static Kind, public: Document, revision: Revision) -> Answer {
    Answer { table: &kind.table, ..Answer::document(public.to_raw(), Some(revision)) }
}

async fn write(authorized: &Authorized<'_>, document: &Document) -> Result<Revision, Error> {
    Ok(authorized.api.store.put(&authorized.account.id.database(), document).await?)
}

/// A body of a form that holds no data is refused once all else is well.
fn must_be_taken(authorized: &Authorized<'_>) -> Result<(), Error> {
    match authorized.incoming.content_type() {
        ContentType::Other => Err(Error::UnsupportedMediaType),
        ContentType::Json | ContentType::Form | ContentType::Multipart => Ok(()),
    }
}

fn author(authorized: &Authorized<'_>) -> Author {
    Author {
        account: authorized.account.id,
        auth_account: authorized.identity.account,
        auth_user: authorized.identity.user.clone(),
        request_id: authorized.frame.request_id.clone(),
        now: authorized.api.world.gregorian_seconds(),
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
