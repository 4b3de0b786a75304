//! How the JavaScript of map functions looks at documents, for its native twins: what is truthy, what `for in` walks. No
//! tree is made of what they look at, which may be large.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::document::cursor::text_of;
use crate::document::{Document, json};

use super::documents::is_of_type;

/// What map functions take for a document of this type that is not deleted.
pub fn is_listed(document: &Document, kind: &str) -> bool {
    !document.get("pvt_deleted").is_some_and(is_truthy) && is_of_type(document, kind)
}

/// What JavaScript takes for true.
pub fn is_truthy(value: &RawValue) -> bool {
    match value.get() {
        "null" | "false" | "\"\"" => false,
        value => value.parse() != Ok(0.0),
    }
}

/// Whether a value is null, of which JavaScript can't tell a property.
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// A property of a value; None where it has none of this name.
pub fn property<'v>(value: &'v RawValue, key: &str) -> Option<&'v RawValue> {
    json::fields(value).into_iter().rev().find(|(of, _)| of == key).map(|(_, value)| value)
}

/// What `for in` walks, but for a text's letters: an object's properties, an array's indexes.
pub fn properties(value: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    match value.get().as_bytes().first() {
        Some(b'{') => in_order(json::fields(value).into_iter().collect()),
        _ => items(value).into_iter().enumerate().map(|(at, item)| (at.to_string().into(), item)).collect(),
    }
}

/// How many properties `for in` walks; of a string, its UTF-16 units.
pub fn count(value: &RawValue) -> usize {
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let mut keys = json::keys(value);
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        }
        Some(b'[') => items(value).len(),
        Some(b'"') => text_of(value.get()).encode_utf16().count(),
        _ => 0,
    }
}

/// The items of an array; none of what is no array.
fn items(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(value.get()).unwrap_or_default()
}

/// An object's properties in JavaScript's order: those that are array indexes first, by number, then the others as
/// they stand. A key that stands twice keeps its first place and its last value.
fn in_order<'v>(fields: IndexMap<Cow<'v, str>, &'v RawValue>) -> Vec<(Cow<'v, str>, &'v RawValue)> {
    let mut properties: Vec<_> = fields.into_iter().collect();
    properties.sort_by_cached_key(|(key, _)| index(key).map_or((true, 0), |index| (false, index)));
    properties
}

/// The array index that a key is.
fn index(key: &str) -> Option<u32> {
    key.parse().ok().filter(|index: &u32| *index < u32::MAX && index.to_string() == key)
}
