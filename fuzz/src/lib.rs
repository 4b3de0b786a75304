//! What the targets share.

use crossbar_groups::document::json::DEEPEST;
use crossbar_groups::document::{Document, json};
use serde_json::value::RawValue;

/// The parts of an input, between which NULs stand; those that it lacks are empty.
pub fn parts<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut parts = input.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// The JSON that the service would take of a client's bytes, as it keeps it.
pub fn kept(bytes: &[u8]) -> Option<Box<RawValue>> {
    let compact = json::compact(json::check(bytes, DEEPEST).ok()?.get()).ok()?;
    Some(RawValue::from_string(compact).expect("compact JSON is JSON"))
}

/// The same, where it is an object.
pub fn object(bytes: &[u8]) -> Option<Document> {
    Document::from_raw(&*kept(bytes)?)
}
