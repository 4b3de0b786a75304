//! What is a group's own: its endpoints, its features, and the rows that lists have of it. All of it is pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::cursor::text_of;
use crate::document::{Document, json};

use super::documents;
use super::erlang::is_empty;
use super::javascript::{count, is_listed, is_null, is_truthy, properties, property};

/// `pvt_type` of a group.
pub const TYPE: &str = "group";

/// What an endpoint that is a user says that it is.
pub const USER: &str = "user";

/// How large a group may be that a client writes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many endpoints it may have.
    pub endpoints: usize,
    /// How many bytes its row may have in the list by users, where it stands once for each of them.
    pub rows: usize,
}

/// What a group has too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Excess {
    Endpoints,
    Rows,
}

/// Sees that a group is no larger than it may be.
///
/// Errors: what there is too much of.
pub fn must_fit(document: &Document, limits: Limits) -> Result<(), Excess> {
    // what is small need not be read: a user has 16 bytes at the least (`{"type":"user"},`), a row little more than its document
    let bytes = document.bytes();
    if bytes <= limits.endpoints && (bytes + 100).saturating_mul(bytes / 16) <= limits.rows {
        return Ok(());
    }
    if document.get("endpoints").map_or(0, count) > limits.endpoints {
        return Err(Excess::Endpoints);
    }
    let row = row(document).map_or(0, |row| row.get().len());
    if row.saturating_mul(users(document).len()) > limits.rows {
        return Err(Excess::Rows);
    }
    Ok(())
}

/// The endpoints of a group: the id of each, and the type of document that it says it names.
pub fn endpoints(document: &Document) -> impl Iterator<Item = (String, Option<String>)> {
    let endpoints = document.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
    endpoints.into_iter().map(|(id, raw)| (id, Document::from_raw(&raw).and_then(|endpoint| endpoint.text("type"))))
}

/// What members may be.
pub const MEMBERS: [&str; 3] = [USER, "device", TYPE];

/// A member of a group, as it stands in the document.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// What is said of it; None where that is no object.
    pub value: Option<Document>,
    /// Whether it is a list, which to most of Kazoo is an object without keys.
    pub is_list: bool,
}

/// What a member says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// One of [`MEMBERS`].
    Known(String),
    /// Nothing: it has no type, one without a text, or is no object.
    Nothing,
    /// Something else, as JSON, at which calls crash: also null, and what else Kazoo takes for empty elsewhere.
    Odd(String),
}

impl Says {
    /// Whether it is something that members may be.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Whether nobody could mean something by it.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Nothing => true,
            Self::Odd(says) => is_empty(says),
        }
    }
}

impl Member {
    /// What it says that it is.
    pub fn says(&self) -> Says {
        let Some(raw) = self.value.as_ref().and_then(|value| value.get("type")) else { return Says::Nothing };
        match json::text(raw) {
            Some(text) if MEMBERS.contains(&&*text) => Says::Known(text),
            Some(text) if text.is_empty() => Says::Nothing,
            None if raw.get().starts_with('[') && is_empty(raw.get()) => Says::Nothing,
            _ => Says::Odd(raw.get().to_owned()),
        }
    }
}

/// The members of a group, in their order.
pub fn members(document: &Document) -> impl Iterator<Item = Member> + use<> {
    let endpoints = document.get("endpoints").and_then(Document::from_raw).unwrap_or_default();
    let member = |(id, raw): (String, Box<RawValue>)| Member {
        id,
        value: Document::from_raw(&raw),
        is_list: raw.get().starts_with('['),
    };
    endpoints.into_iter().map(member)
}

/// The group without some of its members, and others of the type that is told of each, as Kazoo's own maintenance writes a
/// document ([`documents::touch`]). `now` in gregorian seconds.
pub fn mended(existing: &Document, removed: &[String], types: &BTreeMap<String, String>, now: i64) -> Document {
    let mut document = existing.clone();
    if let Some(mut endpoints) = document.get("endpoints").and_then(Document::from_raw) {
        endpoints.retain(|id| !removed.iter().any(|removed| removed == id));
        for (id, of) in types {
            let mut member = endpoints.get(id).and_then(Document::from_raw).unwrap_or_default();
            member.set_text("type", of);
            endpoints.set(id.as_str(), member.to_raw());
        }
        document.set("endpoints", endpoints.to_raw());
    }
    documents::touch(&mut document, now);
    document
}

/// A list's row of a group, or None if the list does not show the document.
pub fn row(document: &Document) -> Option<Arc<RawValue>> {
    if !is_listed(document, TYPE) {
        return None;
    }
    let mut features = enabled_features(document)?;
    let music = document.get("music_on_hold").and_then(|music| property(music, "media_id"));
    if music.is_some_and(is_truthy) {
        features.push("music_on_hold".to_owned());
    }
    let mut row = Document::new();
    row.set("id", document.get("_id")?.to_owned());
    if let Some(name) = document.get("name") {
        row.set("name", name.to_owned());
    }
    row.set("features", json::raw(&features));
    row.set("endpoints", json::raw(&document.get("endpoints").map_or(0, count)));
    let flags = document.get("flags").filter(|flags| is_truthy(flags));
    row.set("flags", flags.map_or_else(|| json::raw(&[(); 0]), ToOwned::to_owned));
    Some(Arc::from(row.to_raw()))
}

/// The keys of `smartpbx` whose value has a truthy `enabled`; None where a value is null.
fn enabled_features(document: &Document) -> Option<Vec<String>> {
    let mut features = Vec::new();
    for (feature, settings) in document.get("smartpbx").map(properties).unwrap_or_default() {
        if is_null(settings) {
            return None;
        }
        if property(settings, "enabled").is_some_and(is_truthy) {
            features.push(feature.into_owned());
        }
    }
    Some(features)
}

/// The users that are a group's endpoints, as they are listed; none where the map function stumbles over a null.
pub fn users(document: &Document) -> Vec<String> {
    let endpoints = document.get("endpoints").map(properties).unwrap_or_default();
    if endpoints.iter().any(|(_, endpoint)| is_null(endpoint)) {
        return Vec::new();
    }
    let is_user = |endpoint: &RawValue| property(endpoint, "type").is_some_and(|of| text_of(of.get()) == USER);
    endpoints.into_iter().filter(|(_, endpoint)| is_user(endpoint)).map(|(id, _)| id.into_owned()).collect()
}
