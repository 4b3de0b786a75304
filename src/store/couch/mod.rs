//! A CouchDB, or what speaks its protocol: one server, or several nodes of a cluster. Every URL is made here, each
//! segment percent-encoded; requests go through couch_rs's client, one a node, whose pool of connections all share. Its
//! typed calls are not used where they would parse a document into a tree or, as `Client::db` does, create a database
//! that is not there.
//!
//! What one node fails to answer is asked of the next. That is harmless, writes included: each names the revision that
//! it replaces or makes, so that it happens once; `Couch::write` finds out where it had happened already.

mod nodes;

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use couch_rs::Client;
use futures::future::join_all;
use jiff::fmt::rfc2822;
use percent_encoding::percent_decode_str;
use reqwest::header::{ACCEPT, DATE, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision, json, segment};

use nodes::{Node, Nodes};

use super::{ATTACHMENTS, DESIGN, DesignDocument, Error, Query, Result, Row, Select, Server, Store, View};

/// How long a request may take, from connecting to the last byte. couch_rs has no other limit for connecting.
const TIME_OUT: Duration = Duration::from_secs(10);

/// The same where another node can be asked then.
const TIME_OUT_OF_SEVERAL: Duration = Duration::from_secs(4);

/// How long loading or reading a batch of whole documents may take.
const LONG_TIME_OUT: Duration = Duration::from_secs(120);

/// A CouchDB, by one or several of its nodes.
pub struct Couch {
    nodes: Nodes,
    design_documents: &'static [DesignDocument],
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
    pub fn new<U: AsRef<str>>(
        urls: &[U],
        design_documents: &'static [DesignDocument],
    ) -> std::result::Result<Self, NoClient> {
        let time_out = if urls.len() > 1 { TIME_OUT_OF_SEVERAL } else { TIME_OUT };
        let nodes = urls.iter().map(|url| node(url.as_ref(), time_out)).collect::<std::result::Result<_, _>>()?;
        let nodes = Nodes::new(nodes).ok_or_else(|| NoClient::Url("there is none".to_owned()))?;
        Ok(Self { nodes, design_documents })
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
        let mut may_have_happened = false;
        let mut last = Err(Error::Unreachable("no node".to_owned()));
        for asked in self.nodes.in_order() {
            match answered(request.to(asked.node().client())).await {
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
        last
    }

    /// Sends a request that writes a document of a database; `path` is the document's in it.
    async fn write(&self, database: &DbName, path: &[&str], document: &Document) -> Result<Revision> {
        #[derive(Deserialize)]
        struct Written {
            rev: String,
        }

        let path = &[&[database.as_str()], path].concat();
        let answer = self.send(Request::new(Method::PUT, path).body(document.to_json())).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Error::MissingDatabase(database.clone()));
        }
        if answer.status != StatusCode::CONFLICT {
            let written: Written = answer.accepted()?.json()?;
            return written.rev.parse().map_err(|error| Error::Corrupt(format!("{error}")));
        }
        // asked of a second node, since a first gave no answer: what conflicts may be what the first wrote
        let found = if answer.may_have_happened { self.read(Request::get(path)).await?.found() } else { None };
        let found = found.map(|answer| answer.json::<Document>()).transpose()?;
        found.and_then(|found| written_as(&found, document)).ok_or(Error::Conflict)
    }

    async fn documents_after(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        conflicts: bool,
    ) -> Result<Option<Vec<Document>>> {
        let mut parameters = vec![("include_docs", "true".to_owned()), ("limit", (limit + 1).to_string())];
        if conflicts {
            parameters.push(("conflicts", "true".to_owned()));
        }
        if let Some(after) = after {
            parameters.push(("startkey", json::encode(after)));
        }
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters).long();
        let Some(answer) = self.read(request).await?.found() else { return Ok(None) };
        let rows = answer.json::<Listing<IdRow>>()?.rows;
        let fresh = rows.into_iter().filter(|row| Some(row.id.as_str()) != after).take(limit);
        Ok(Some(fresh.filter_map(|row| row.doc).collect()))
    }

    /// A document with its attachments inline, named by content type and data alone.
    async fn with_attachments(&self, database: &DbName, document: Document) -> Result<Document> {
        if !document.contains(ATTACHMENTS) {
            return Ok(document);
        }
        let id = document.id().unwrap_or_default();
        let path = match id.strip_prefix(DESIGN) {
            Some(name) => vec![database.as_str(), "_design", name],
            None => vec![database.as_str(), id.as_str()],
        };
        let request = Request::get(&path).parameters([("attachments", "true".to_owned())]).long();
        // deleted meanwhile: as it was a moment ago
        let Some(answer) = self.read(request).await?.found() else { return Ok(document) };
        let mut whole = answer.json::<Document>()?;
        let attachments = whole.get(ATTACHMENTS).and_then(Document::from_raw).unwrap_or_default();
        let inline: Document = attachments
            .into_iter()
            .map(|(name, raw)| {
                let mut attachment = Document::from_raw(&raw).unwrap_or_default();
                attachment.retain(|key| matches!(key, "content_type" | "data"));
                (name, attachment.to_raw())
            })
            .collect();
        whole.set(ATTACHMENTS, inline.to_raw());
        Ok(whole)
    }

    async fn create_database(&self, database: &DbName) -> Result<()> {
        let answer = self.send(Request::new(Method::PUT, &[database.as_str()])).await?;
        // 412: it is there already
        if answer.status == StatusCode::PRECONDITION_FAILED { Ok(()) } else { answer.accepted().map(drop) }
    }

    async fn add_missing_design_documents(&self, database: &DbName) -> Result<()> {
        for design in self.design_documents.iter().filter(|design| (design.holds)(database)) {
            let path = [database.as_str(), "_design", design.name];
            if self.read(Request::get(&path)).await?.found().is_none() {
                let answer = self.send(Request::new(Method::PUT, &path).body(design.json)).await?;
                // 409: somebody else was faster, and theirs stays
                if answer.status != StatusCode::CONFLICT {
                    answer.accepted()?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Couch {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Document>> {
        let answer = self.read(Request::get(&[database.as_str(), id.as_str()])).await?;
        answer.found().map(|answer| answer.json()).transpose()
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().and_then(|id| id.parse::<DocId>().ok());
        let id = id.ok_or_else(|| Error::Refused("a document without an id of its own".to_owned()))?;
        self.write(database, &[id.as_str()], document).await
    }

    async fn query(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>> {
        let rows = self.view(database, view, query, Some(query.limit)).await?;
        let Select::Key(_, Some(from)) = &query.select else { return Ok(rows) };
        let precedes = |row: &Row| row.id < *from;
        if !rows.first().is_some_and(precedes) {
            return Ok(rows);
        }
        // A server that does not know `startkey_docid` (PouchDB) begins with the key's first row all the same: then
        // all of the key's rows are read, and those before the one that is wanted left out.
        let rows = self.view(database, view, query, None).await?;
        Ok(rows.into_iter().skip_while(precedes).take(query.limit).collect())
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let answer = self.read(Request::get(&[database.as_str(), id.as_str(), name]).any()).await?;
        Ok(answer.found().map(|answer| answer.body))
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        self.create_database(database).await
    }

    async fn prepare(&self, database: &DbName) -> Result<()> {
        self.create_database(database).await?;
        self.add_missing_design_documents(database).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        let documents: Vec<Document> = documents.into_iter().map(with_some_revision).collect();
        let body = json::encode(&Replicated { new_edits: false, docs: &documents });
        let request = Request::new(Method::POST, &[database.as_str(), "_bulk_docs"]).body(body).long();
        let answer = self.send(request).await?.accepted()?;
        // only what was not written is told of
        let refused: Vec<serde_json::Value> = answer.json().unwrap_or_default();
        match refused.iter().find(|document| document.get("error").is_some()) {
            Some(document) => Err(Error::Refused(document.to_string())),
            None => Ok(()),
        }
    }

    async fn dump(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        let Some(documents) = self.documents_after(database, after, limit, false).await? else { return Ok(None) };
        let mut whole = Vec::with_capacity(documents.len());
        for document in documents {
            whole.push(self.with_attachments(database, document).await?);
        }
        Ok(Some(whole))
    }

    async fn documents(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        self.documents_after(database, after, limit, true).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        // the character after the slash is a zero
        let (first, last) = (json::encode(DESIGN), json::encode("_design0"));
        let parameters = [("startkey", first), ("endkey", last), ("include_docs", "true".to_owned())];
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters);
        let Some(answer) = self.read(request).await?.found() else { return Ok(None) };
        let rows = answer.json::<Listing<IdRow>>()?.rows;
        Ok(Some(rows.into_iter().filter_map(|row| row.doc).collect()))
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().unwrap_or_default();
        let name = id.strip_prefix(DESIGN).ok_or_else(|| Error::Refused(format!("{id:?} is no design document")))?;
        self.write(database, &["_design", name], document).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        let names: Vec<String> = self.read(Request::get(&["_all_dbs"]).long()).await?.json()?;
        // CouchDB's own names are no names of databases here
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn server(&self) -> Result<Server> {
        #[derive(Deserialize)]
        struct Greeting {
            version: String,
        }
        #[derive(Deserialize)]
        struct Membership {
            all_nodes: Vec<String>,
            cluster_nodes: Vec<String>,
        }

        let answer = self.read(Request::get(&[])).await?;
        let greeting: Greeting = answer.json()?;
        // only an administrator is told, and not every server knows
        let membership = self.read(Request::get(&["_membership"])).await.ok();
        let membership = membership.and_then(|answer| answer.found()?.json::<Membership>().ok());
        let date = answer.date.as_ref().and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        Ok(Server::Couch {
            version: greeting.version,
            nodes: membership.map(|told| super::Nodes { cluster: told.cluster_nodes, connected: told.all_nodes }),
            time: date.map(SystemTime::from),
            failing: join_all(self.nodes.all().map(failing)).await.into_iter().flatten().collect(),
        })
    }
}

impl Couch {
    async fn view(&self, database: &DbName, view: &View, query: &Query, limit: Option<usize>) -> Result<Vec<Row>> {
        let mut parameters = Vec::new();
        match &query.select {
            // rows whose key is no text are none of ours: texts come after numbers and before arrays
            Select::From(from) => {
                parameters.push(("startkey", json::encode(from.as_deref().unwrap_or_default())));
                parameters.push(("endkey", "[]".to_owned()));
            }
            Select::Key(key, None) => parameters.push(("key", json::encode(key))),
            Select::Key(key, Some(id)) => {
                parameters.push(("key", json::encode(key)));
                parameters.push(("startkey_docid", id.clone()));
            }
        }
        if let Some(limit) = limit {
            parameters.push(("limit", limit.to_string()));
        }
        if query.documents {
            parameters.push(("include_docs", "true".to_owned()));
        }
        let path = [database.as_str(), "_design", view.design, "_view", view.name];
        let answer = self.read(Request::get(&path).parameters(parameters)).await?;
        let missing = || Error::MissingView { database: database.clone(), design: view.design, view: view.name };
        let rows = answer.found().ok_or_else(missing)?.json::<Listing<ViewRow>>()?.rows;
        rows.into_iter().map(ViewRow::with_text_key).collect()
    }
}

#[derive(serde::Serialize)]
struct Replicated<'a> {
    new_edits: bool,
    docs: &'a [Document],
}

#[derive(Deserialize)]
struct Listing<R> {
    rows: Vec<R>,
}

#[derive(Deserialize)]
struct IdRow {
    id: String,
    doc: Option<Document>,
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
        Ok(Row { id: self.id, key, value: self.value, document: self.doc })
    }
}

/// A document that came without a revision gets one of what it holds, so that loading it again changes nothing.
fn with_some_revision(mut document: Document) -> Document {
    if !document.contains("_rev") {
        let revision = document.next_revision(None);
        document.set_text("_rev", &revision.to_string());
    }
    document
}

/// The node of a URL.
fn node(url: &str, time_out: Duration) -> std::result::Result<Node, NoClient> {
    let url = Url::parse(url).map_err(|error| NoClient::Url(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| NoClient::Url("it names no host".to_owned()))?;
    if !matches!(url.path(), "" | "/") {
        return Err(NoClient::Url("it has a path".to_owned()));
    }
    let name = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = Some(plain(url.username())).filter(|user| !user.is_empty());
    let password = url.password().map(plain);
    let server = format!("{}://{name}", url.scheme());
    let client = Client::new_with_timeout(&server, user.as_deref(), password.as_deref(), Some(time_out.as_secs()));
    Ok(Node::new(client.map_err(|error| NoClient::Http(error.to_string()))?, name))
}

/// A node that does not answer as it should, and why.
async fn failing(node: &Node) -> Option<String> {
    let answer = answered(Request::get(&[]).to(node.client())).await.map_err(|failure| failure.error);
    let error = answer.and_then(Answer::accepted).err()?;
    Some(format!("{}: {error}", node.name()))
}

/// The revision by which a store has what was to be written, if that is what it has.
fn written_as(found: &Document, wanted: &Document) -> Option<Revision> {
    let revision = found.revision()?;
    let is_next = revision.number() == wanted.revision().map_or(0, |replaced| replaced.number()) + 1;
    (is_next && found.is_same_as(wanted)).then_some(revision)
}

/// A request that can be sent to any node.
struct Request {
    method: Method,
    path: String,
    parameters: HashMap<String, String>,
    body: Option<Bytes>,
    accept: HeaderValue,
    time_out: Option<Duration>,
}

impl Request {
    /// A request to a path of these segments, which wants JSON.
    fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| format!("/{}", segment(part))).collect();
        let accept = HeaderValue::from_static("application/json");
        Self { method, path, parameters: HashMap::new(), body: None, accept, time_out: None }
    }

    fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    fn parameters(mut self, parameters: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.parameters.extend(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Whatever comes is wanted.
    fn any(mut self) -> Self {
        self.accept = HeaderValue::from_static("*/*");
        self
    }

    /// It may take long.
    fn long(mut self) -> Self {
        self.time_out = Some(LONG_TIME_OUT);
        self
    }

    /// The request as one client sends it.
    fn to(&self, client: &Client) -> RequestBuilder {
        let parameters = Some(&self.parameters).filter(|parameters| !parameters.is_empty());
        let mut request = client.req(self.method.clone(), &self.path, parameters).header(ACCEPT, self.accept.clone());
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        match self.time_out {
            Some(time_out) => request.timeout(time_out),
            None => request,
        }
    }
}

/// A whole answer of a node.
struct Answer {
    status: StatusCode,
    date: Option<HeaderValue>,
    body: Bytes,
    /// Whether another node was asked before, and may have done it without saying so.
    may_have_happened: bool,
}

/// No answer.
struct Failure {
    error: Error,
    /// Whether the request was sent, so that it may have been done.
    may_have_happened: bool,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let may_have_happened = !error.is_connect();
        // without its URL, which holds the database's name and may hold credentials
        let error = error.without_url();
        let error = match std::error::Error::source(&error) {
            _ if error.is_timeout() => Error::TimedOut(error.to_string()),
            Some(cause) => Error::Unreachable(format!("{error}: {cause}")),
            None => Error::Unreachable(error.to_string()),
        };
        Self { error, may_have_happened }
    }
}

/// Sends a request and reads the whole answer, whatever its status.
async fn answered(request: RequestBuilder) -> std::result::Result<Answer, Failure> {
    let response = request.send().await?;
    let (status, date) = (response.status(), response.headers().get(DATE).cloned());
    Ok(Answer { status, date, body: response.bytes().await?, may_have_happened: false })
}

impl Answer {
    /// None if the server said "not found".
    fn found(self) -> Option<Self> {
        (self.status != StatusCode::NOT_FOUND).then_some(self)
    }

    /// Errors: the server did not do it.
    fn accepted(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let start = &self.body[..self.body.len().min(200)];
        Err(Error::Refused(format!("{}: {}", self.status, String::from_utf8_lossy(start).trim())))
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Corrupt(error.to_string()))
    }
}
