//! What is true of every document of Kazoo's: which of its fields are whose, what a client's data becomes when it is
//! created, replaced, patched and deleted, and what of it a client is shown. All of it is pure; the caller reads and
//! writes.
//!
//! Public are the top-level fields that don't begin with `_` or `pvt_`; they are the client's. Private are the
//! others; they are Kazoo's, and a client's are dropped.

use std::mem;

use serde_json::value::RawValue;

use crate::document::nested::{Fields, Nested};
use crate::document::{DocId, Document, json};

use super::account_id::{AccountId, alphanumeric};

/// Where a document says what it is: `user`, `device`, `group`, …
pub const TYPE: &str = "pvt_type";

/// Where a document says that it is deleted: it stays, and is found by nobody.
const DELETED: &str = "pvt_deleted";

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

/// What a client is shown of a document that it deleted.
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

/// The public fields of `existing` with a client's changes merged in, as Kazoo's `kz_json:merge_left` does: objects key
/// by key at every depth, but an empty one takes the place of what is there; everything else replaces. `null` removes
/// a key, and no null is left in an object, whoever put it there; lists stay as they are, and so does an object that
/// takes the place of what was none.
pub fn merge(existing: &Document, changes: Document) -> Document {
    let (existing, changes) = (submitted(existing.clone()).to_raw(), submitted(changes).to_raw());
    let mut merged = Nested::of(&existing);
    if let (Nested::Object(target), Nested::Object(changes)) = (&mut merged, Nested::of(&changes)) {
        merge_fields(target, changes);
    }
    Document::from_raw(&json::raw(&merged)).unwrap_or_default()
}

fn merge_fields<'a>(target: &mut Fields<'a>, mut changes: Fields<'a>) {
    target.retain(|key, there| match (changes.get_mut(key).map(mem::take), there) {
        (None, there) => is_left(there),
        (Some(Nested::Object(change)), Nested::Object(there)) if !change.is_empty() => {
            merge_fields(there, change);
            true
        }
        (Some(change), there) => {
            *there = change;
            !there.is_null()
        }
    });
    // a null is in the place of each change that was taken
    target.extend(changes.into_iter().filter_map(|(key, mut change)| is_left(&mut change).then_some((key, change))));
}

/// Whether a field is left where no null is; it loses the nulls of its objects.
fn is_left(value: &mut Nested<'_>) -> bool {
    if let Nested::Object(fields) = value {
        fields.retain(|_, value| is_left(value));
    }
    !value.is_null()
}

/// The document softly deleted.
pub fn delete(existing: &Document, author: &Author) -> Document {
    let mut document = existing.clone();
    sign(&mut document, author);
    document.set(DELETED, json::raw(&true));
    document
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
    use super::*;
    use proptest::prelude::*;

    fn merge_texts(existing: &str, changes: &str) -> String {
        merge(&Document::parse(existing).unwrap(), Document::parse(changes).unwrap()).to_json()
    }

    #[test]
    fn changes_are_merged_as_kazoo_merges_them() {
        for (existing, changes, merged) in [
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"c":3,"d":4}}"#, r#"{"a":{"b":1,"c":3,"d":4}}"#),
            (r#"{"a":{"b":{"c":1}},"d":1}"#, r#"{"a":{"b":{"c":null}},"d":null}"#, r#"{"a":{"b":{}}}"#),
            // an empty object replaces
            (r#"{"endpoints":{"u":{}}}"#, r#"{"endpoints":{}}"#, r#"{"endpoints":{}}"#),
            // so do lists and scalars, and what was none
            (
                r#"{"a":[1,2],"b":{"c":1},"d":5}"#,
                r#"{"a":[null],"b":7,"d":{"e":1}}"#,
                r#"{"a":[null],"b":7,"d":{"e":1}}"#,
            ),
            // no null is left in an object
            (
                r#"{"a":null,"b":{"c":null,"d":[{"e":null}]}}"#,
                r#"{"f":{"g":null}}"#,
                r#"{"b":{"d":[{"e":null}]},"f":{}}"#,
            ),
            // but in the place of what was no object, one stays as it came
            (
                r#"{"t":"x","l":[1],"n":5,"z":null,"o":{"t":1}}"#,
                r#"{"t":{"a":null},"l":{"a":{"b":null}},"n":{"a":null,"b":1},"z":{"a":null},"o":{"t":{"a":null}}}"#,
                r#"{"t":{"a":null},"l":{"a":{"b":null}},"n":{"a":null,"b":1},"z":{"a":null},"o":{"t":{"a":null}}}"#,
            ),
            // private fields are nobody's to change, and the id is the document's name
            (r#"{"_id":"x","pvt_a":1,"n":1}"#, r#"{"_id":"y","id":"z","pvt_a":2,"n":2}"#, r#"{"n":2}"#),
            // numbers keep their digits
            (
                r#"{"n":1.10,"o":{"m":123456789012345678901234567890}}"#,
                r#"{"o":{"k":1e3}}"#,
                r#"{"n":1.10,"o":{"m":123456789012345678901234567890,"k":1e3}}"#,
            ),
        ] {
            assert_eq!(merge_texts(existing, changes), merged, "{existing} with {changes}");
        }
    }

    /// Objects of these values.
    fn object_of(value: BoxedStrategy<String>) -> BoxedStrategy<String> {
        let key = prop_oneof![Just("a"), Just("b"), Just("c")];
        let object = |fields: std::collections::BTreeMap<&str, String>| {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        prop::collection::btree_map(key, value, 0..4).prop_map(object).boxed()
    }

    fn any_object() -> BoxedStrategy<String> {
        let scalars = ["null", "1", "\"x\"", "[null]"].map(str::to_owned).to_vec();
        object_of(prop::sample::select(scalars).prop_recursive(3, 20, 4, object_of).boxed())
    }

    #[test]
    fn what_is_nested_deep_and_what_has_many_fields_is_merged_in_one_pass() {
        let started = std::time::Instant::now();
        // a level more is not one more copy of all that is in it
        let deep = |inner: &str| format!("{}{inner}{}", r#"{"a":"#.repeat(500), "}".repeat(500));
        let large = format!(r#"{{"b":"{}","c":null}}"#, "x".repeat(200_000));
        assert!(!merge_texts(&deep(&large), &deep(r#"{"d":null}"#)).contains("null"));
        // nor is a field that goes one more move of all that follow it
        let many = |value: &str| {
            let fields: Vec<String> = (0..50_000).map(|number| format!("\"{number}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert_eq!(merge_texts(&many("1"), &many("null")), "{}");
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
        // deeper than clients may, as another of Kazoo's nodes may have written it
        let deepest = format!("{}null{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(merge_texts(&deepest, r#"{"b":1}"#).len(), deepest.len() + r#","b":1"#.len());
    }

    proptest! {
        #[test]
        fn from_the_second_time_on_merging_the_same_changes_changes_nothing(
            existing in any_object(), changes in any_object()
        ) {
            // the first time, an object with nulls may have taken the place of what was none
            let twice = merge_texts(&merge_texts(&existing, &changes), &changes);
            prop_assert_eq!(merge_texts(&twice, &changes), twice);
        }

        #[test]
        fn merging_nothing_only_takes_nulls_away(existing in any_object()) {
            let once = merge_texts(&existing, "{}");
            prop_assert_eq!(merge_texts(&once, "{}"), once.clone());
            prop_assert!(!once.replace("[null]", "").contains("null"));
        }
    }
}
