//! How the JavaScript of map functions looks at documents, for its native twins: what is truthy, what `for in` walks. No
//! tree is made of what they look at, which may be large.

use serde_json::value::RawValue;

use crate::document::Document;
use crate::document::cursor::{Cursor, text_of};

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
pub fn property(value: &RawValue, key: &str) -> Option<Box<RawValue>> {
    Document::from_raw(value)?.remove(key)
}

/// What `for in` walks, but for a text's letters: an object's properties, an array's indexes.
pub fn properties(value: &RawValue) -> Vec<(String, Box<RawValue>)> {
    match Document::from_raw(value) {
        Some(fields) => in_order(fields),
        None => items(value).enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
    }
}

/// The items of an array; none of what is no array.
fn items(value: &RawValue) -> impl Iterator<Item = Box<RawValue>> {
    let items: Vec<Box<RawValue>> = serde_json::from_str(value.get()).unwrap_or_default();
    items.into_iter()
}

/// An object's properties in JavaScript's order: those that are array indexes first, by number, then the others as
/// they stand.
fn in_order(fields: Document) -> Vec<(String, Box<RawValue>)> {
    let index = |key: &str| key.parse::<u32>().ok().filter(|index| *index < u32::MAX && index.to_string() == key);
    let mut properties: Vec<_> = fields.into_iter().collect();
    properties.sort_by_cached_key(|(key, _)| index(key).map_or((true, 0), |index| (false, index)));
    properties
}

/// How many properties `for in` walks; of a string, its UTF-16 units.
pub fn count(value: &RawValue) -> usize {
    match Cursor::new(value.get()).peek() {
        Some(b'{') => Document::from_raw(value).map_or(0, |fields| fields.len()),
        Some(b'[') => items(value).count(),
        Some(b'"') => text_of(value.get()).encode_utf16().count(),
        _ => 0,
    }
}
