//! Many documents in a request: by their ids, or by the keys of a view of Kazoo's own.

use std::collections::HashSet;
use std::sync::Arc;

use futures::pin_mut;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::document::{DbName, DocId, Document, json};

use super::super::{Attachments, Error, Lookup, Result, View, rows_documents};
use super::Couch;
use super::request::{Pace, Request};

/// How many ids or keys are asked for in a request.
const KEYS: usize = 1_000;

/// How many documents are looked at in a request, where the view is missing.
const LOOKED_AT: usize = 1_000;

/// How many documents a database may have for all to be looked at.
const SCANNED: usize = 20_000;

#[derive(Serialize)]
struct Keys<K> {
    keys: K,
}

/// A row, of which the document alone counts; it is null where there is none, or none any more.
#[derive(Deserialize)]
struct OfId {
    #[serde(default)]
    doc: Option<Document>,
}

/// The same, with its key.
#[derive(Deserialize)]
struct OfKey {
    key: (String, String),
    #[serde(default)]
    doc: Option<Document>,
}

impl Couch {
    /// The documents of these ids that are there.
    pub(super) async fn documents(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        let mut found = Vec::new();
        for some in ids.chunks(KEYS) {
            let keys: Vec<&str> = some.iter().map(DocId::as_str).collect();
            let request = with_documents(&[database.as_str(), "_all_docs"], keys);
            if let Some(listing) = self.read(&request, |answer| answer.listing::<OfId>()).await? {
                found.extend(listing.rows.into_iter().filter_map(|row| row.doc).map(Arc::new));
            }
        }
        Ok(found)
    }

    /// The documents of a view's rows of these keys; None if the view is not there.
    pub(super) async fn found(
        &self,
        database: &DbName,
        by: &Lookup,
        keys: &[String],
    ) -> Result<Option<Vec<(String, Arc<Document>)>>> {
        let path = [database.as_str(), "_design", by.view.design, "_view", by.view.name];
        let mut found = Vec::new();
        for some in keys.chunks(KEYS) {
            let keys: Vec<(&str, &str)> = some.iter().map(|key| (key.as_str(), by.word)).collect();
            let request = with_documents(&path, keys);
            let Some(listing) = self.read(&request, |answer| answer.listing::<OfKey>()).await? else { return Ok(None) };
            found.extend(listing.rows.into_iter().filter_map(|row| Some((row.key.0, Arc::new(row.doc?)))));
        }
        Ok(Some(found))
    }

    /// The same by the view's twin, of all documents of a database that has not too many.
    pub(super) async fn scanned(
        &self,
        database: &DbName,
        by: &Lookup,
        keys: &[String],
    ) -> Result<Vec<(String, Arc<Document>)>> {
        let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let batches = self.scan(database, &by.view);
        pin_mut!(batches);
        while let Some(batch) = batches.try_next().await? {
            for document in batch {
                (by.view.map)(&document, &mut |key, _| {
                    if keys.contains(key) {
                        found.push((key.to_owned(), Arc::clone(&document)));
                    }
                });
            }
        }
        Ok(found)
    }

    /// The documents of a view's rows of these keys; where the view is not there, those of which its twin has such rows.
    pub(super) fn listed_or_scanned<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
        keys: &'a [&'a str],
    ) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
        let is_listed = move |document: &Arc<Document>| {
            let mut is_listed = false;
            (view.map)(document, &mut |key, _| is_listed |= keys.contains(&key));
            is_listed
        };
        let begun = async move {
            let mut listed = rows_documents(self, database, view, keys);
            match listed.next().await {
                Some(Err(Error::MissingView { .. })) => {
                    let scanned = self.scan(database, view);
                    scanned.map_ok(move |batch| batch.into_iter().filter(is_listed).collect()).boxed()
                }
                first => stream::iter(first).chain(listed).boxed(),
            }
        };
        stream::once(begun).flatten().boxed()
    }

    /// All documents of a database that lacks a view, if they are not too many.
    fn scan<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
    ) -> impl Stream<Item = Result<Vec<Arc<Document>>>> + Send + 'a {
        let begun: Option<(Option<String>, usize)> = Some((None, 0));
        stream::try_unfold(begun, async move |place| {
            let Some((after, seen)) = place else { return Ok(None) };
            if seen >= SCANNED {
                return Err(Error::MissingView { database: database.clone(), design: view.design, view: view.name });
            }
            let batch = self
                .documents_after(database, after.as_deref(), LOOKED_AT, Attachments::Named)
                .await?
                .unwrap_or_default();
            let is_last = batch.len() < LOOKED_AT;
            let next = (!is_last).then(|| (batch.last().and_then(Document::id), seen + batch.len()));
            Ok(Some((batch.into_iter().map(Arc::new).collect(), next)))
        })
    }
}

/// Asks for the documents of keys. It only reads, though it is a POST.
fn with_documents<K: Serialize>(path: &[&str], keys: K) -> Request {
    let request = Request::new(Method::POST, path).parameters([("include_docs", "true".to_owned())]);
    request.body(json::encode(&Keys { keys })).pace(Pace::Slow)
}
