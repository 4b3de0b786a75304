//! The documents of a kind: one read, created, replaced, patched and deleted.
//!
//! Each handler is given a request that is [`Authorized`]. What its verb asks for is validated always, and done unless
//! the request's method only reads.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use serde_json::json as value;
use serde_json::value::RawValue;

use crate::aside::by_size;
use crate::budgets::Budget;
use crate::document::{DocId, Document, Revision, json};
use crate::kazoo::documents::{self, Author, is_deleted};
use crate::kazoo::erlang::is_empty;
use crate::kazoo::group::Excess;
use crate::kazoo::kind::Kind;
use crate::kazoo::merge::merge;
use crate::kazoo::schema::validation_error;
use crate::store;

use super::answer::Answer;
use super::body::ContentType;
use super::context::Authorized;
use super::error::{Error, echo};
use super::used;

/// How many bytes of what is wrong are told at the most.
const LONGEST_ECHO: usize = 4_096;

/// The pauses before a patch is tried again on top of another process's change.
const PATCH_PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(5))
    .with_max_delay(Duration::from_millis(200))
    .with_max_times(10)
    .with_jitter();

/// `GET …/{noun}/{id}`
pub async fn read(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let (document, revision) = load(authorized, kind, id).await?;
    Ok(shown(kind, document, documents::public, revision).await)
}

/// `PUT …/{noun}`
pub async fn create(authorized: &Authorized<'_>, kind: &'static Kind) -> Result<Answer, Error> {
    let fields = submitted(authorized, kind).await?;
    let other_id = authorized.api.world.document_id();
    let document = made(authorized, kind, 0, move |data, author| {
        let id = Document::from_raw(data).and_then(|data| named_id(&data)).unwrap_or(Ok(other_id))?;
        let mut document = documents::create(&id, kind.pvt_type, fields, author);
        documents::name_by_first_value(&mut document, data);
        Ok(document)
    });
    let document = document.await?;
    if authorized.incoming.only_reads() {
        // what is yet to be created can't be read
        return Err(Error::NotFound);
    }
    authorized.conditions().allow_creating()?;
    must_be_taken(authorized)?;
    let revision = write(authorized, &document).await?;
    let created_id = document.id();
    Ok(Answer { created: true, created_id, ..shown(kind, Arc::new(document), documents::public, revision).await })
}

/// `POST …/{noun}/{id}`
pub async fn replace(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let fields = submitted(authorized, kind).await?;
    let (existing, revision) = load(authorized, kind, id).await?;
    let document = made(authorized, kind, existing.bytes(), move |data, author| {
        let mut document = documents::replace(&existing, fields, author);
        documents::name_by_first_value(&mut document, data);
        Ok(document)
    });
    let document = document.await?;
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, Arc::new(document), documents::public, revision).await)
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
    let fields = match &found {
        Some(existing) => merged(authorized, kind, Arc::clone(existing)).await?,
        None => submitted(authorized, kind).await?,
    };
    let (existing, revision) = live(kind, id, found)?;
    let bytes = existing.bytes();
    let make = move |_: &RawValue, author: &Author| Ok(documents::replace(&existing, fields, author));
    let document = made(authorized, kind, bytes, make).await?;
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, Arc::new(document), documents::public, revision).await)
}

/// `DELETE …/{noun}/{id}`: softly. The document stays, and is found by nobody. With `unless_used` only what nothing names is
/// deleted.
pub async fn delete(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let (existing, revision) = load(authorized, kind, id).await?;
    if authorized.incoming.is_true("unless_used", false) {
        used::must_be_unused(authorized, id).await?;
    }
    let document = documents::delete(&existing, &author(authorized));
    let revision = write_over(authorized, &document, revision).await?;
    Ok(shown(kind, Arc::new(document), documents::public_deleted, revision).await)
}

/// `POST …/{noun}/{id}/restore`: what was deleted softly is there again, as it was.
pub async fn restore(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<Answer, Error> {
    let missing = || Error::BadIdentifier(id.to_owned());
    let doc_id = id.parse().map_err(|_| missing())?;
    let found = authorized.api.store.get(&authorized.account.id.database(), &doc_id).await?;
    let found = found.filter(|found| documents::is_of_type(found, kind.pvt_type)).ok_or_else(missing)?;
    let document = documents::restore(&found, &author(authorized)).ok_or_else(missing)?;
    let revision = write_over(authorized, &document, revision_of(id, &found)?).await?;
    Ok(shown(kind, Arc::new(document), documents::public, revision).await)
}

/// The fields of a client's data, by the schema.
async fn submitted(authorized: &Authorized<'_>, kind: &'static Kind) -> Result<Document, Error> {
    authorized.api.schemas.check(kind.schema, authorized.data(), 0, documents::submitted).await
}

/// The fields of a document with a client's changes, by the schema.
async fn merged(authorized: &Authorized<'_>, kind: &'static Kind, existing: Arc<Document>) -> Result<Document, Error> {
    let bytes = existing.bytes();
    let merged = move |changes| merge(&existing, &changes);
    authorized.api.schemas.check(kind.schema, authorized.data(), bytes, merged).await
}

/// A document made of a client's data, and of so many more bytes, by a request's author.
///
/// Errors: why there is none, or it is larger than it may be.
async fn made(
    authorized: &Authorized<'_>,
    kind: &'static Kind,
    more: usize,
    make: impl FnOnce(&RawValue, &Author) -> Result<Document, Error> + Send + 'static,
) -> Result<Document, Error> {
    let (data, author, limits) = (authorized.data(), author(authorized), authorized.api.budgets.of_groups());
    let bytes = data.get().len() + more;
    let make = move || {
        let document = make(&data, &author)?;
        match (kind.must_fit)(&document, limits) {
            Ok(()) => Ok(document),
            Err(Excess::Endpoints) => Err(Error::OverBudget(Budget::Endpoints, limits.endpoints)),
            Err(Excess::Rows) => Err(Error::OverBudget(Budget::Rows, limits.rows)),
        }
    };
    by_size(bytes, make).await
}

/// The id that a client gives its new document: the first of the places where Kazoo looks for one (`kz_doc:id`), unless
/// that is empty.
fn named_id(data: &Document) -> Option<Result<DocId, Error>> {
    const PLACES: [(&str, Option<&str>); 5] =
        [("_id", None), ("id", None), ("ID", None), ("value", Some("id")), ("doc", Some("_id"))];
    let at = |(field, inner): &(&str, Option<&str>)| {
        let value = data.get(field)?;
        let value = match inner {
            Some(key) => Document::from_raw(value)?.remove(key)?,
            None => value.to_owned(),
        };
        Some(value).filter(|value| value.get() != "null")
    };
    let given = PLACES.iter().find_map(at).filter(|given| !is_empty(given.get()))?;
    let id = json::text(&given).and_then(|id| id.parse().ok());
    Some(id.ok_or_else(|| {
        let message = "The id must be a text that does not begin with an underscore and holds no slash";
        let value = echo(&given, LONGEST_ECHO);
        validation_error("id", "pattern", value!({ "message": message, "value": value })).into()
    }))
}

/// The live document of this id, and its revision.
async fn load(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<(Arc<Document>, Revision), Error> {
    live(kind, id, find(authorized, id).await?)
}

/// Errors: there is no live document of this id.
pub async fn must_be_there(authorized: &Authorized<'_>, kind: &'static Kind, id: &str) -> Result<(), Error> {
    load(authorized, kind, id).await.map(drop)
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
    let revision = revision_of(id, &found)?;
    Ok((found, revision))
}

fn revision_of(id: &str, found: &Document) -> Result<Revision, Error> {
    Ok(found.revision().ok_or_else(|| store::Error::Corrupt(format!("{id} has no revision")))?)
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

/// A document as it is shown, by what makes it public.
async fn shown(
    kind: &'static Kind,
    document: Arc<Document>,
    public: fn(&Document) -> Box<RawValue>,
    revision: Revision,
) -> Answer {
    let public = by_size(document.bytes(), move || public(&document)).await;
    Answer { table: &kind.table, ..Answer::document(public, Some(revision)) }
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
