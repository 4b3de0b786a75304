//! What is true of every document of Kazoo's: which of its fields are whose, what a client's data becomes when it is
//! created, replaced, patched and deleted, and what of it a client is shown. All of it is pure; the caller reads and
//! writes.
//!
//! Public are the top-level fields that don't begin with `_` or `pvt_`; they are the client's. Private are the
//! others; they are Kazoo's, and a client's are dropped.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::document::{DocId, Document, json};

use super::account_id::{AccountId, alphanumeric};

/// Where a document says what it is: `user`, `device`, `group`, …
pub const TYPE: &str = "pvt_type";

/// [`TYPE`] of a callflow.
pub const CALLFLOW: &str = "callflow";

/// Where a document says that it is deleted: it stays, and is found by nobody.
pub const DELETED: &str = "pvt_deleted";

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

/// Whether a document is deleted softly.
pub fn is_deleted(document: &Document) -> bool {
    document.is_true(DELETED)
}

/// Whether a document says that it is of this type.
pub fn is_of_type(document: &Document, pvt_type: &str) -> bool {
    document.text(TYPE).is_some_and(|of| of == pvt_type)
}

/// Whether a document is shown as one of this type: not softly deleted, and of this type or, as in old databases,
/// without a type.
pub fn is_live(document: &Document, pvt_type: &str) -> bool {
    !is_deleted(document) && (!document.contains(TYPE) || is_of_type(document, pvt_type))
}

/// What people call a document, if it has a name: `name`, or a user's first and last name, or `username`.
pub fn title(document: &Document) -> Option<String> {
    let text = |key: &str| document.text(key).filter(|text| !text.is_empty());
    text("name").or_else(|| person(document)).or_else(|| text("username"))
}

/// A person's first and last name, or one of them.
pub fn person(user: &Document) -> Option<String> {
    let text = |key: &str| user.text(key).filter(|text| !text.is_empty());
    let names: Vec<String> = [text("first_name"), text("last_name")].into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// A document as people are told of it: by its name, if it has one, and its id.
pub struct Called<'c>(pub &'c str, pub Option<&'c str>);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => f.write_str(self.0),
        }
    }
}

/// Whether a top-level field is Kazoo's or CouchDB's own.
pub fn is_private(key: &str) -> bool {
    key.starts_with('_') || key.starts_with("pvt_")
}

/// What a client is shown: the public fields, then `id`.
pub fn public(document: &Document) -> Box<RawValue> {
    json::raw(&Public { document, is_deleted: false })
}

/// What a client is shown of a document that it deleted.
pub fn public_deleted(document: &Document) -> Box<RawValue> {
    json::raw(&Public { document, is_deleted: true })
}

/// A document as it is shown.
struct Public<'d> {
    document: &'d Document,
    is_deleted: bool,
}

impl Serialize for Public<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = serializer.serialize_map(None)?;
        for (key, value) in self.document.iter().filter(|(key, _)| !is_private(key) && *key != "id") {
            shown.serialize_entry(key, value)?;
        }
        if let Some(id) = self.document.get("_id") {
            shown.serialize_entry("id", id)?;
        }
        if self.is_deleted {
            shown.serialize_entry("_read_only", &serde_json::json!({ "deleted": true }))?;
        }
        shown.end()
    }
}

/// The fields of a client's data that are the client's to set. `id` is not: it is the document's name.
pub fn submitted(mut data: Document) -> Document {
    data.retain(|key| !is_private(key) && key != "id");
    data
}

/// A new document of a type, of the client's (validated) fields, without a revision.
pub fn create(id: &DocId, pvt_type: &str, fields: Document, author: &Author) -> Document {
    let mut document = Document::new();
    document.set_text("_id", id.as_str());
    document.extend(fields);
    document.set_text(TYPE, pvt_type);
    sign(&mut document, author);
    document
}

/// The document `existing` with the client's (validated) fields in place of its public ones. Its private fields stay.
pub fn replace(existing: &Document, fields: Document, author: &Author) -> Document {
    let mut document = Document::new();
    let mut private = existing.clone();
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

/// The document softly deleted.
pub fn delete(existing: &Document, author: &Author) -> Document {
    let mut document = existing.clone();
    sign(&mut document, author);
    document.set(DELETED, json::raw(&true));
    document
}

/// The document with its soft deletion taken back, as Kazoo's own maintenance would write it ([`touch`]); None if it is not
/// deleted. Kazoo 4.3 has no such thing: its crossbar takes a deleted document for none, and whoever wants one back takes
/// `pvt_deleted` out by hand. `now` in gregorian seconds.
pub fn undelete(existing: &Document, now: i64) -> Option<Document> {
    if !is_deleted(existing) {
        return None;
    }
    let mut document = existing.clone();
    document.remove(DELETED);
    touch(&mut document, now);
    Some(document)
}

/// The same at a client's request, which is told as of any write.
pub fn restore(existing: &Document, author: &Author) -> Option<Document> {
    let mut document = undelete(existing, author.now)?;
    sign(&mut document, author);
    Some(document)
}

/// Sets when the document was changed, as Kazoo's own maintenance does: nobody's request, so who wrote last stays. `now`
/// in gregorian seconds.
pub fn touch(document: &mut Document, now: i64) {
    document.set("pvt_modified", json::raw(&now));
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
    touch(document, author.now);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn author(now: i64) -> Author {
        let account: AccountId = "3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap();
        let (auth_user, request_id) = (Some("u".to_owned()), "r".to_owned());
        Author { account, auth_account: account, auth_user, request_id, now }
    }

    proptest! {
        #[test]
        fn what_is_deleted_and_restored_is_shown_as_before(
            fields in prop::collection::btree_map("[a-z]{1,8}", any::<i32>(), 0..6), deleted in 1_i64..1 << 40
        ) {
            let fields = fields.iter().map(|(key, value)| (key.clone(), json::raw(value))).collect();
            let live = create(&DocId::fixed("a"), "group", fields, &author(0));
            let deleted_then = delete(&live, &author(deleted));
            prop_assert!(undelete(&live, deleted + 1).is_none());
            let restored = undelete(&deleted_then, deleted + 1).unwrap();
            prop_assert!(is_live(&restored, "group") && !restored.contains(DELETED));
            let (now, before) = (public(&restored), public(&live));
            prop_assert_eq!(now.get(), before.get());
            prop_assert_eq!(restored.integer("pvt_modified"), Some(deleted + 1));
        }
    }
}
