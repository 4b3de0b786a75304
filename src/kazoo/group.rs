//! What is a group's own: its endpoints, its features, and the rows that lists have of it. All of it is pure.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::{Document, json};

use super::documents;
use super::javascript::{count, is_listed, is_truthy, properties, value};

/// `pvt_type` of a group.
pub const TYPE: &str = "group";

/// What an endpoint that is a user says that it is.
pub const USER: &str = "user";

/// The endpoints of a group: the id of each, and the type of document that it says it names.
pub fn endpoints(document: &Document) -> impl Iterator<Item = (String, Option<String>)> {
    let endpoints = document.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
    endpoints.into_iter().map(|(id, raw)| (id, Document::from_raw(&raw).and_then(|endpoint| endpoint.text("type"))))
}

/// The group without some of its endpoints, as Kazoo's own maintenance writes a document ([`documents::touch`]). `now` in
/// gregorian seconds.
pub fn without_endpoints(existing: &Document, removed: &[String], now: i64) -> Document {
    let mut document = existing.clone();
    if let Some(mut endpoints) = document.get("endpoints").and_then(Document::from_raw) {
        endpoints.retain(|id| !removed.iter().any(|removed| removed == id));
        document.set("endpoints", endpoints.to_raw());
    }
    documents::touch(&mut document, now);
    document
}

/// A list's row of a group, or None if the list does not show the document.
pub fn row(document: &Document) -> Option<Box<RawValue>> {
    if !is_listed(document, TYPE) {
        return None;
    }
    let mut features = enabled_features(document)?;
    let music = document.get("music_on_hold").map(value).unwrap_or_default();
    if music.get("media_id").is_some_and(is_truthy) {
        features.push("music_on_hold".to_owned());
    }
    let mut row = Document::new();
    row.set("id", document.get("_id")?.to_owned());
    if let Some(name) = document.get("name") {
        row.set("name", name.to_owned());
    }
    row.set("features", json::raw(&features));
    row.set("endpoints", json::raw(&document.get("endpoints").map_or(0, |raw| count(&value(raw)))));
    let flags = document.get("flags").filter(|raw| is_truthy(&value(raw)));
    row.set("flags", flags.map_or_else(|| json::raw(&[(); 0]), ToOwned::to_owned));
    Some(row.to_raw())
}

/// The keys of `smartpbx` whose value has a truthy `enabled`; None where a value is null.
fn enabled_features(document: &Document) -> Option<Vec<String>> {
    let smartpbx = document.get("smartpbx").map(value).unwrap_or_default();
    let mut features = Vec::new();
    for (feature, settings) in properties(&smartpbx) {
        if settings.is_null() {
            return None;
        }
        if settings.get("enabled").is_some_and(is_truthy) {
            features.push(feature);
        }
    }
    Some(features)
}

/// The users that are a group's endpoints, as they are listed; none where the map function stumbles over a null.
pub fn users(document: &Document) -> Vec<String> {
    let endpoints = document.get("endpoints").map(value).unwrap_or_default();
    let endpoints = properties(&endpoints);
    if endpoints.iter().any(|(_, endpoint)| endpoint.is_null()) {
        return Vec::new();
    }
    let is_user = |endpoint: &Value| endpoint.get("type").and_then(Value::as_str) == Some(USER);
    endpoints.into_iter().filter(|(_, endpoint)| is_user(endpoint)).map(|(id, _)| id).collect()
}
