//! A group's document: what a client's data becomes when it is created, replaced, patched and deleted, and what of
//! it a client is shown. All of it is pure; the caller reads and writes.
//!
//! Public are the top-level fields that don't begin with `_` or `pvt_`; they are the client's. Private are the
//! others; they are Kazoo's, and a client's are dropped.

use serde_json::value::RawValue;

use crate::document::{DocId, Document, json};

use super::account::{AccountId, alphanumeric};

/// `pvt_type` of a group.
pub const TYPE: &str = "group";

/// `pvt_vsn` of documents that crossbar writes.
const VERSION: &str = "1";

/// Who writes a document, for its private fields.
#[derive(Debug, Clone)]
pub struct Author {
    /// The account whose document it is.
    pub account: AccountId,
    /// The token's account.
    pub auth_account: AccountId,
    /// The token's user, if it has one.
    pub auth_user: Option<String>,
    /// The request's id.
    pub request_id: String,
    /// Gregorian seconds.
    pub now: i64,
}

/// Whether a stored document is shown as a group: not softly deleted, and of this type or, as in old databases,
/// without a type.
pub fn is_live(document: &Document) -> bool {
    let deleted = document.get("pvt_deleted").is_some_and(|raw| raw.get() == "true");
    let fits = match document.get("pvt_type") {
        None => true,
        Some(raw) => json::text(raw).is_some_and(|kind| kind == TYPE),
    };
    fits && !deleted
}

/// Whether a top-level field is Kazoo's or CouchDB's own.
fn is_private(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("pvt_")
}

/// What a client is shown: the public fields, then `id`.
pub fn public(document: &Document) -> Document {
    let mut shown = document.clone();
    shown.retain(|key| !is_private(key) && key != "id");
    if let Some(id) = document.get("_id") {
        shown.set("id", id.to_owned());
    }
    shown
}

/// What a client is shown of a group that it deleted.
pub fn public_deleted(document: &Document) -> Document {
    let mut shown = public(document);
    shown.set("_read_only", json::raw(&serde_json::json!({ "deleted": true })));
    shown
}

/// The fields of a client's data that are the client's to set. `id` is not: it is the document's name.
pub fn submitted(mut data: Document) -> Document {
    data.retain(|key| !is_private(key) && key != "id");
    data
}

/// A new group of the client's (validated) fields, without a revision.
pub fn create(id: &DocId, fields: Document, author: &Author) -> Document {
    let mut document = Document::new();
    document.set_text("_id", id.as_str());
    document.extend(fields);
    document.set_text("pvt_type", TYPE);
    sign(&mut document, author);
    document
}

/// The group `existing` with the client's (validated) fields in place of its public ones. Its private fields stay.
pub fn replace(existing: &Document, fields: Document, author: &Author) -> Document {
    let (mut document, mut private) = (Document::new(), existing.clone());
    private.retain(is_private);
    for key in ["_id", "_rev"] {
        if let Some(value) = private.remove(key) {
            document.set(key, value);
        }
    }
    document.extend(fields);
    document.extend(private);
    sign(&mut document, author);
    document
}

/// The public fields of `existing` with a client's changes merged in: objects key by key at every depth, `null`
/// removes a key, everything else replaces (RFC 7396).
pub fn merge(existing: &Document, changes: Document) -> Document {
    merged(submitted(existing.clone()), submitted(changes))
}

fn merged(mut target: Document, changes: Document) -> Document {
    for (key, change) in changes {
        match Document::from_raw(&change) {
            Some(change) => {
                let inner = target.get(&key).and_then(Document::from_raw).unwrap_or_default();
                target.set(key, merged(inner, change).to_raw());
            }
            None if change.get() == "null" => {
                target.remove(&key);
            }
            None => target.set(key, change),
        }
    }
    target
}

/// The group softly deleted: still there, but found by nobody.
pub fn delete(existing: &Document, author: &Author) -> Document {
    let mut document = existing.clone();
    sign(&mut document, author);
    document.set("pvt_deleted", json::raw(&true));
    document
}

/// The endpoints of a group: the id of each, and the type of document that it says it names.
pub fn endpoints(document: &Document) -> impl Iterator<Item = (String, Option<String>)> {
    let endpoints = document.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
    endpoints.into_iter().map(|(id, raw)| (id, Document::from_raw(&raw).and_then(|endpoint| endpoint.text("type"))))
}

/// The group without some of its endpoints, as Kazoo's own maintenance writes a document: nobody's request, so who
/// wrote last stays, and only the time changes. `now` in gregorian seconds.
pub fn without_endpoints(existing: &Document, removed: &[String], now: i64) -> Document {
    let mut document = existing.clone();
    if let Some(mut endpoints) = document.get("endpoints").and_then(Document::from_raw) {
        endpoints.retain(|id| !removed.iter().any(|removed| removed == id));
        document.set("endpoints", endpoints.to_raw());
    }
    document.set("pvt_modified", json::raw(&now));
    document
}

/// Sets the private fields that tell who wrote the document, when, and for which account.
fn sign(document: &mut Document, author: &Author) {
    let encoded = author.account.encoded_database();
    for (key, value) in
        [("pvt_vsn", VERSION), ("pvt_account_id", author.account.as_str()), ("pvt_account_db", &encoded)]
    {
        if !document.contains(key) {
            document.set_text(key, value);
        }
    }
    if !document.contains("_rev") {
        document.set("pvt_created", json::raw(&author.now));
    }
    document.set("pvt_modified", json::raw(&author.now));
    document.set_text("pvt_request_id", &author.request_id);
    match &author.auth_user {
        Some(user) => document.set_text("pvt_auth_user_id", user),
        None => drop(document.remove("pvt_auth_user_id")),
    }
    document.set_text("pvt_auth_account_id", author.auth_account.as_str());
    document.set("pvt_is_authenticated", json::raw(&true));
    if let Some(name) = document.text("name") {
        document.set_text("pvt_alphanum_name", &alphanumeric(&name));
    }
}

/// A key that stands twice in a client's data is stored with its last value, but Kazoo makes `pvt_alphanum_name` of
/// the first; so do we, since Kazoo's own nodes look the name up.
pub fn name_by_first_value(document: &mut Document, data: &RawValue) {
    if let Some(name) = json::first_field(data, "name").and_then(|raw| json::text(&raw)) {
        document.set_text("pvt_alphanum_name", &alphanumeric(&name));
    }
}
