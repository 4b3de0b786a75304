//! A CouchDB, or what speaks its protocol: one server, or several nodes of a cluster. Its answers are read with couch_rs's
//! types; the client is our own, since that of couch_rs follows redirects, unpacks whatever comes, obeys the
//! environment's proxies, and can't be told not to.
//!
//! What one node does not answer as a CouchDB does is asked of the next. That is harmless, writes included (`write`).
//! How many requests may be under way, how much may come and how long it may take is bounded (`options`).

mod answer;
mod counts;
mod feed;
mod health;
mod many;
mod node;
mod nodes;
mod options;
mod request;
mod server;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use prometheus::core::Collector;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision, json};

use super::rows::{Batch, in_batches};
use super::{Attachments, Changed, Direction, Error, Lookup, Place, Query, Result, Row, Sequence, Store, View};

use answer::{Answer, Nonsense, Refusal, Said};
use counts::Counts;
use node::Node;
use nodes::Nodes;
use options::Line;
use request::{Pace, Request};

pub use options::{CouchOptions, NoClient, Times};

/// How many rows are read first. Only then is known how large they are, and how many can be read at a time.
const FIRST_ROWS: usize = 250;

/// The same of rows with their documents.
const FIRST_DOCUMENTS: usize = 4;

/// A CouchDB, by one or several of its nodes.
pub struct Couch {
    nodes: Nodes,
    times: Times,
    longest_answer: usize,
    counts: Counts,
}

impl Couch {
    /// A CouchDB by the URLs of its nodes, credentials inside, the one to be preferred first. Nothing is asked of them
    /// yet.
    pub fn new<U: AsRef<str>>(urls: &[U], options: &CouchOptions) -> std::result::Result<Self, NoClient> {
        let counts = Counts::new();
        let node = |url: &U| {
            let line = Line::to(url.as_ref(), options)?;
            let counts = counts.of(&line.name);
            Ok(Node::new(line, options, counts))
        };
        let nodes = urls.iter().map(node).collect::<std::result::Result<_, _>>()?;
        let nodes = Nodes::new(nodes).ok_or_else(|| NoClient::Url("there is none".to_owned()))?;
        Ok(Self { nodes, times: options.times, longest_answer: options.longest_answer, counts })
    }

    /// Asks for the server's greeting.
    ///
    /// Errors: it can't be reached, or does not answer as a CouchDB does.
    pub async fn check(&self) -> Result<()> {
        self.ask(&Request::get(&[]), Answer::greeting).await?.done().map(drop)
    }

    /// Sends a request that reads; None if what it asks for is not there.
    async fn read<T>(
        &self,
        request: &Request,
        read: impl Fn(&Answer) -> std::result::Result<T, Nonsense>,
    ) -> Result<Option<T>> {
        self.ask(request, read).await?.found()
    }

    /// Sends a request to one node after the other until one says something.
    async fn ask<T>(
        &self,
        request: &Request,
        read: impl Fn(&Answer) -> std::result::Result<T, Nonsense>,
    ) -> Result<Said<T>> {
        self.nodes.ask(request, read).await.map(|told| told.said).map_err(|failure| failure.error)
    }
}

#[async_trait]
impl Store for Couch {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        let request = Request::get(&[database.as_str(), id.as_str()]);
        Ok(self.read(&request, Answer::document).await?.map(Arc::new))
    }

    async fn get_many(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        self.documents(database, ids).await
    }

    async fn find(&self, database: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        match self.found(database, by, keys).await? {
            Some(found) => Ok(found),
            None => self.scanned(database, by, keys).await,
        }
    }

    fn listed<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
        keys: &'a [&'a str],
    ) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
        self.listed_or_scanned(database, view, keys)
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().and_then(|id| id.parse::<DocId>().ok());
        let id = id.ok_or_else(|| Error::Refused("a document without an id of its own".to_owned()))?;
        self.write(database, &[id.as_str()], document).await
    }

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        let first = if query.with_documents { FIRST_DOCUMENTS } else { FIRST_ROWS };
        in_batches(query, first, move |query, _| self.batch(database, view, query)).boxed()
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        self.sequence_of(database).await
    }

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        self.documents_after(database, after, limit, attachments).await
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        self.changed_after(database, since, most).await
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.changes(database, since)
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.read(&Request::get(&[database.as_str(), id.as_str(), name]).any(), Answer::attachment).await
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.counts.collectors()
    }

    /// Puts a document that every Kazoo has in the place of a revision that nobody ever made, which is a conflict: it is
    /// told to those only who may write, by a node that would have written. Where there is no such database nothing is to
    /// be proved, but that the server answers.
    async fn prove_writable(&self) -> Result<()> {
        let never = format!("1-{}", "0".repeat(32));
        let request = Request::new(Method::PUT, &["system_config", "auth"]).body(format!(r#"{{"_rev":"{never}"}}"#));
        match self.ask(&request, Answer::written).await? {
            Said::Refused(Refusal { status: StatusCode::CONFLICT | StatusCode::NOT_FOUND, .. }) => Ok(()),
            said => said.done().map(drop),
        }
    }
}

impl Couch {
    /// The rows of a query in its order, at most as many as its batch.
    async fn batch(&self, database: &DbName, view: &View, query: Query) -> Result<Batch> {
        let rows = self.view(database, view, &query, Some(query.batch)).await?;
        let is_outside = |row: &Row| !is_within(row, &query);
        if !rows.iter().any(is_outside) {
            return Ok(Batch { is_last: rows.len() < query.batch, rows });
        }
        // A server that does not know `startkey_docid` (PouchDB) gives all rows of the first key and of the last: then
        // all rows between the two are read, and those that are not wanted left out.
        let mut rows = self.view(database, view, &query, None).await?;
        rows.retain(|row| is_within(row, &query));
        let is_last = rows.len() < query.batch;
        rows.truncate(query.batch);
        Ok(Batch { rows, is_last })
    }

    async fn view(&self, database: &DbName, view: &View, query: &Query, limit: Option<usize>) -> Result<Vec<Row>> {
        // rows whose key is no text are none of ours: texts come after numbers and before arrays
        let key = |place: &Option<Place>, all: &str| {
            place.as_ref().map_or_else(|| all.to_owned(), |place| json::encode(&place.key))
        };
        let id = |place: &Option<Place>| place.as_ref().and_then(|place| place.id.clone());
        let first = (key(&query.first, "\"\""), id(&query.first));
        let last = (key(&query.last, "[]"), id(&query.last));
        let mut parameters = Vec::new();
        let (start, end) = match query.direction {
            Direction::Ascending => (first, last),
            Direction::Descending => {
                parameters.push(("descending", "true".to_owned()));
                (last, first)
            }
        };
        parameters.extend([("startkey", start.0), ("endkey", end.0)]);
        parameters.extend(start.1.map(|id| ("startkey_docid", id)));
        parameters.extend(end.1.map(|id| ("endkey_docid", id)));
        if let Some(limit) = limit {
            // so few rows come at once: row by row they wake us as often
            parameters.extend([("limit", limit.to_string()), ("buffer_response", "true".to_owned())]);
        }
        if query.with_documents {
            parameters.push(("include_docs", "true".to_owned()));
        }
        let path = [database.as_str(), "_design", view.design, "_view", view.name];
        let request = Request::get(&path).parameters(parameters).pace(Pace::Slow);
        let missing = || Error::MissingView { database: database.clone(), design: view.design, view: view.name };
        let rows = |answer: &Answer| {
            let listing = answer.listing::<ViewRow<'_>>()?;
            Ok(listing.rows.into_iter().map(ViewRow::into_row).collect::<Result<_>>())
        };
        self.read(&request, rows).await?.ok_or_else(missing)?
    }
}

/// Whether a row is none of those of a query's first or last key that stand outside of its documents.
fn is_within(row: &Row, query: &Query) -> bool {
    let first = id_at(query.first.as_ref(), row);
    let last = id_at(query.last.as_ref(), row);
    first.is_none_or(|first| first <= &*row.id) && last.is_none_or(|last| &*row.id <= last)
}

/// The document's id of a place that is among the rows of a row's key.
fn id_at<'q>(place: Option<&'q Place>, row: &Row) -> Option<&'q str> {
    place.filter(|place| *place.key == *row.key)?.id.as_deref()
}

/// A row as it stands in an answer.
#[derive(Deserialize)]
struct ViewRow<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
    doc: Option<Document>,
}

impl ViewRow<'_> {
    /// Errors: its key is no text.
    fn into_row(self) -> Result<Row> {
        let Self { id, key, value, doc } = self;
        let id: Arc<str> = id.into();
        // many views have a document's id for its key
        let written = key.get().strip_prefix('"').and_then(|key| key.strip_suffix('"'));
        let is_id = written == Some(&*id) && !id.contains('\\');
        let key = if is_id { Some(Arc::clone(&id)) } else { json::text(key).map(Arc::from) };
        let key = key.ok_or_else(|| Error::Corrupt("a row's key is no text".to_owned()))?;
        Ok(Row { id, key, value: Arc::from(value.to_owned()), document: doc.map(Arc::new) })
    }
}
