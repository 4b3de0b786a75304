//! A CouchDB, or what speaks its protocol: one server, or several nodes of a cluster. Each node has a client, whose pool
//! of connections all requests share.
//!
//! What one node fails to answer is asked of the next. That is harmless, writes included: each names the revision that
//! it replaces or makes, so that it happens once; `Couch::write` finds out where it had happened already.

mod client;
mod nodes;
mod request;
mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision, json};
use crate::tls::Authorities;

use super::rows::{Batch, in_batches};
use super::{Direction, Error, Place, Query, Result, Row, Store, View};

use client::Client;
use nodes::{Node, Nodes};
use request::{Answer, Failure, Request, answered};

/// How long a request may take, from connecting to the last byte.
const TIME_OUT: Duration = Duration::from_secs(10);

/// The same where another node can be asked then.
const TIME_OUT_OF_SEVERAL: Duration = Duration::from_secs(4);

/// How many rows are read first. Only then is known how large they are, and how many can be read at a time.
const FIRST_ROWS: usize = 250;

/// The same of rows with their documents.
const FIRST_DOCUMENTS: usize = 4;

/// A CouchDB, by one or several of its nodes.
pub struct Couch {
    nodes: Nodes,
}

/// Why nothing can be asked of a CouchDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    /// The text is no URL of a CouchDB.
    #[error("no CouchDB URL (http://user:password@host:5984): {0}")]
    Url(String),
    /// The HTTP library can't be set up. It reads the machine's certificates even where no URL needs them.
    #[error("no HTTP client: {0}; are the machine's CA certificates installed (Debian's ca-certificates)?")]
    Http(String),
}

impl Couch {
    /// A CouchDB by the URLs of its nodes, credentials inside, the one to be preferred first. Nothing is asked of them
    /// yet.
    pub fn new<U: AsRef<str>>(urls: &[U]) -> std::result::Result<Self, NoClient> {
        Self::trusting(urls, &Authorities::default())
    }

    /// The same. Those over TLS are believed by these authorities, and by the machine's.
    pub fn trusting<U: AsRef<str>>(urls: &[U], trusted: &Authorities) -> std::result::Result<Self, NoClient> {
        let time_out = if urls.len() > 1 { TIME_OUT_OF_SEVERAL } else { TIME_OUT };
        let nodes =
            urls.iter().map(|url| node(url.as_ref(), time_out, trusted)).collect::<std::result::Result<_, _>>()?;
        let nodes = Nodes::new(nodes).ok_or_else(|| NoClient::Url("there is none".to_owned()))?;
        Ok(Self { nodes })
    }

    /// Asks for the server's greeting.
    ///
    /// Errors: it can't be reached, or does not answer as a CouchDB does.
    pub async fn check(&self) -> Result<()> {
        let answer = self.read(Request::get(&[])).await?;
        // CouchDB welcomes by its name, and what speaks its protocol by another; each tells its version
        match answer.json::<Document>() {
            Ok(greeting) if greeting.contains("version") => Ok(()),
            _ => Err(Error::Refused("it does not greet as a CouchDB does".to_owned())),
        }
    }

    /// Sends a request whose answer is a success or "not found".
    async fn read(&self, request: Request) -> Result<Answer> {
        let answer = self.send(request).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(answer) } else { answer.accepted() }
    }

    /// Sends a request to one node after the other until one answers, whatever its status, but for a fault of its own.
    async fn send(&self, request: Request) -> Result<Answer> {
        self.try_send(request).await.map_err(|failure| failure.error)
    }

    /// The same; a failure says whether it may have happened.
    async fn try_send(&self, request: Request) -> std::result::Result<Answer, Failure> {
        let mut may_have_happened = false;
        let mut last = Err(Error::Unreachable("no node".to_owned()));
        for asked in self.nodes.in_order() {
            let mut answer = answered(request.to(asked.node().client())).await;
            // a connection ends with the worker that opened it, or because it was idle: a new one may do
            if let Err(Failure { error: Error::Unreachable(_), may_have_happened: true }) = &answer {
                may_have_happened = true;
                answer = answered(request.to(asked.node().client())).await;
            }
            match answer {
                Ok(answer) if !answer.status.is_server_error() => {
                    asked.answered();
                    return Ok(Answer { may_have_happened, ..answer });
                }
                Ok(answer) => {
                    may_have_happened = true;
                    last = Ok(answer);
                }
                Err(failure) => {
                    may_have_happened |= failure.may_have_happened;
                    last = Err(failure.error);
                }
            }
            asked.failed();
        }
        last.map_err(|error| Failure { error, may_have_happened })
    }

    /// Sends a request that writes a document of a database; `path` is the document's in it.
    async fn write(&self, database: &DbName, path: &[&str], document: &Document) -> Result<Revision> {
        #[derive(Deserialize)]
        struct Written {
            rev: String,
        }

        let path = &[&[database.as_str()], path].concat();
        let answer = match self.try_send(Request::new(Method::PUT, path).body(document.to_json())).await {
            Ok(answer) => answer,
            // whether it happened is seen by what is there now, if that can be seen
            Err(Failure { error, may_have_happened: true }) => {
                return self.written(path, document).await.ok().flatten().ok_or(error);
            }
            Err(failure) => return Err(failure.error),
        };
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Error::MissingDatabase(database.clone()));
        }
        if answer.status != StatusCode::CONFLICT {
            let written: Written = answer.accepted()?.json()?;
            return written.rev.parse().map_err(|error| Error::Corrupt(format!("{error}")));
        }
        // asked once more, since there was no answer: what conflicts may be what was written then
        let written = if answer.may_have_happened { self.written(path, document).await? } else { None };
        written.ok_or(Error::Conflict)
    }

    /// The revision by which a document is there that was to be written; None if another is there, or none.
    async fn written(&self, path: &[&str], document: &Document) -> Result<Option<Revision>> {
        let Some(answer) = self.read(Request::get(path)).await?.found() else { return Ok(None) };
        Ok(written_as(&answer.json()?, document))
    }
}

#[async_trait]
impl Store for Couch {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        let answer = self.read(Request::get(&[database.as_str(), id.as_str()])).await?;
        answer.found().map(|answer| answer.json().map(Arc::new)).transpose()
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().and_then(|id| id.parse::<DocId>().ok());
        let id = id.ok_or_else(|| Error::Refused("a document without an id of its own".to_owned()))?;
        self.write(database, &[id.as_str()], document).await
    }

    fn rows<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Row>> {
        let first = if query.with_documents { FIRST_DOCUMENTS } else { FIRST_ROWS };
        in_batches(query, first, move |query, _| self.batch(database, view, query)).boxed()
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let answer = self.read(Request::get(&[database.as_str(), id.as_str(), name]).any()).await?;
        Ok(answer.found().map(|answer| answer.body))
    }

    /// Puts a document that every Kazoo has in the place of a revision that nobody ever made, which is a conflict: it is
    /// told to those only who may write, by a node that would have written. Where there is no such database nothing is to
    /// be proved, but that the server answers.
    async fn prove_writable(&self) -> Result<()> {
        let never = format!("1-{}", "0".repeat(32));
        let request = Request::new(Method::PUT, &["system_config", "auth"]).body(format!(r#"{{"_rev":"{never}"}}"#));
        let answer = self.send(request).await?;
        match answer.status {
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(()),
            _ => answer.accepted().map(drop),
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
        parameters.extend(limit.map(|limit| ("limit", limit.to_string())));
        if query.with_documents {
            parameters.push(("include_docs", "true".to_owned()));
        }
        let path = [database.as_str(), "_design", view.design, "_view", view.name];
        let answer = self.read(Request::get(&path).parameters(parameters)).await?;
        let missing = || Error::MissingView { database: database.clone(), design: view.design, view: view.name };
        let rows = answer.found().ok_or_else(missing)?.json::<Listing<ViewRow>>()?.rows;
        rows.into_iter().map(ViewRow::with_text_key).collect()
    }
}

/// Whether a row is none of those of a query's first or last key that stand outside of its documents.
fn is_within(row: &Row, query: &Query) -> bool {
    let first = id_at(query.first.as_ref(), row);
    let last = id_at(query.last.as_ref(), row);
    first.is_none_or(|first| first <= row.id.as_str()) && last.is_none_or(|last| row.id.as_str() <= last)
}

/// The document's id of a place that is among the rows of a row's key.
fn id_at<'q>(place: Option<&'q Place>, row: &Row) -> Option<&'q str> {
    place.filter(|place| place.key == row.key)?.id.as_deref()
}

#[derive(Deserialize)]
struct Listing<R> {
    rows: Vec<R>,
}

#[derive(Deserialize)]
struct ViewRow {
    id: String,
    key: Box<RawValue>,
    value: Box<RawValue>,
    doc: Option<Document>,
}

impl ViewRow {
    fn with_text_key(self) -> Result<Row> {
        let key = json::text(&self.key).ok_or_else(|| Error::Corrupt(format!("a row's key is {}", self.key)))?;
        Ok(Row { id: self.id, key, value: Arc::from(self.value), document: self.doc.map(Arc::new) })
    }
}

/// The node of a URL.
fn node(url: &str, time_out: Duration, trusted: &Authorities) -> std::result::Result<Node, NoClient> {
    let mut url = Url::parse(url).map_err(|error| NoClient::Url(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| NoClient::Url("it names no host".to_owned()))?;
    if !matches!(url.path(), "" | "/") {
        return Err(NoClient::Url("it has a path".to_owned()));
    }
    let name = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    url.set_query(None);
    url.set_fragment(None);
    let tls = trusted.client().map_err(|error| NoClient::Http(error.to_string()))?;
    let http = reqwest::Client::builder().timeout(time_out).tls_backend_preconfigured(tls).build();
    let http = http.map_err(|error| NoClient::Http(error.to_string()))?;
    Ok(Node::new(Client::new(http, url), name))
}

/// The revision by which a store has what was to be written, if that is what it has.
fn written_as(found: &Document, wanted: &Document) -> Option<Revision> {
    let revision = found.revision()?;
    let is_next = revision.number() == wanted.revision().map_or(0, |replaced| replaced.number()) + 1;
    (is_next && found.is_same_as(wanted)).then_some(revision)
}
