//! A CouchDB, or what speaks its protocol. Every URL is made here, each segment percent-encoded; requests go through
//! couch_rs's client, whose one pool of connections all share. Its typed calls are not used where they would parse a
//! document into a tree or, as `Client::db` does, create a database that is not there.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use couch_rs::Client;
use jiff::fmt::rfc2822;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::header::DATE;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision, json};

use super::{ATTACHMENTS, DESIGN, DesignDocument, Error, Nodes, Query, Result, Row, Select, Server, Store, View};

/// How long a request may take, from connecting to the last byte.
const TIME_OUT: Duration = Duration::from_secs(10);

/// How long loading or reading a batch of whole documents may take.
const LONG_TIME_OUT: Duration = Duration::from_secs(120);

/// What stays as it is in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');

/// A CouchDB server (or cluster, by any of its nodes).
pub struct Couch {
    client: Client,
    design_documents: &'static [DesignDocument],
}

/// The text is no URL of a CouchDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no CouchDB URL (http://user:password@host:5984): {0}")]
pub struct NotACouchUrl(String);

impl Couch {
    /// A CouchDB by its URL, credentials inside. Nothing is asked of it yet.
    pub fn new(url: &str, design_documents: &'static [DesignDocument]) -> std::result::Result<Self, NotACouchUrl> {
        let url = Url::parse(url).map_err(|error| NotACouchUrl(error.to_string()))?;
        let host = url.host_str().ok_or_else(|| NotACouchUrl("it names no host".to_owned()))?;
        if !matches!(url.path(), "" | "/") {
            return Err(NotACouchUrl("it has a path".to_owned()));
        }
        let server = match url.port() {
            Some(port) => format!("{}://{host}:{port}", url.scheme()),
            None => format!("{}://{host}", url.scheme()),
        };
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(plain(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(plain);
        let client = Client::new_with_timeout(&server, user.as_deref(), password.as_deref(), Some(TIME_OUT.as_secs()))
            .map_err(|error| NotACouchUrl(error.to_string()))?;
        Ok(Self { client, design_documents })
    }

    /// Asks for the server's greeting.
    ///
    /// Errors: it can't be reached, or does not answer as a CouchDB does.
    pub async fn check(&self) -> Result<()> {
        let answer = sent(self.request(Method::GET, &[], &[])).await?;
        // CouchDB welcomes by its name, and what speaks its protocol by another; each tells its version
        match answer.json::<Document>() {
            Ok(greeting) if greeting.contains("version") => Ok(()),
            _ => Err(Error::Refused("it does not greet as a CouchDB does".to_owned())),
        }
    }

    /// A request to a path of these segments.
    fn request(&self, method: Method, path: &[&str], parameters: &[(&str, String)]) -> RequestBuilder {
        let path: String = path.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT))).collect();
        let parameters: HashMap<String, String> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.client.req(method, &path, Some(&parameters).filter(|parameters| !parameters.is_empty()))
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
        let request = self.request(Method::GET, &[database.as_str(), "_all_docs"], &parameters).timeout(LONG_TIME_OUT);
        let Some(answer) = sent(request).await?.found() else { return Ok(None) };
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
        let request = self
            .request(Method::GET, &path, &[("attachments", "true".to_owned())])
            .header("Accept", "application/json")
            .timeout(LONG_TIME_OUT);
        // deleted meanwhile: as it was a moment ago
        let Some(answer) = sent(request).await?.found() else { return Ok(document) };
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
        let answer = answered(self.request(Method::PUT, &[database.as_str()], &[])).await?;
        // 412: it is there already
        if answer.status == StatusCode::PRECONDITION_FAILED { Ok(()) } else { answer.accepted().map(drop) }
    }

    async fn add_missing_design_documents(&self, database: &DbName) -> Result<()> {
        for design in self.design_documents.iter().filter(|design| (design.holds)(database)) {
            let path = [database.as_str(), "_design", design.name];
            if sent(self.request(Method::GET, &path, &[])).await?.found().is_none() {
                let answer = answered(self.request(Method::PUT, &path, &[]).body(design.json)).await?;
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
        let answer = sent(self.request(Method::GET, &[database.as_str(), id.as_str()], &[])).await?;
        answer.found().map(|answer| answer.json()).transpose()
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().and_then(|id| id.parse::<DocId>().ok());
        let id = id.ok_or_else(|| Error::Refused("a document without an id of its own".to_owned()))?;
        let path = [database.as_str(), id.as_str()];
        self.write(self.request(Method::PUT, &path, &[]).body(document.to_json())).await
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
        let answer = sent(self.request(Method::GET, &[database.as_str(), id.as_str(), name], &[])).await?;
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
        let request = self.request(Method::POST, &[database.as_str(), "_bulk_docs"], &[]).body(body);
        let answer = answered(request.timeout(LONG_TIME_OUT)).await?.accepted()?;
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
        let range = [("startkey", json::encode(DESIGN)), ("endkey", json::encode("_design0"))];
        let parameters = [range.as_slice(), &[("include_docs", "true".to_owned())]].concat();
        let request = self.request(Method::GET, &[database.as_str(), "_all_docs"], &parameters);
        let Some(answer) = sent(request).await?.found() else { return Ok(None) };
        let rows = answer.json::<Listing<IdRow>>()?.rows;
        Ok(Some(rows.into_iter().filter_map(|row| row.doc).collect()))
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().unwrap_or_default();
        let name = id.strip_prefix(DESIGN).ok_or_else(|| Error::Refused(format!("{id:?} is no design document")))?;
        let path = [database.as_str(), "_design", name];
        self.write(self.request(Method::PUT, &path, &[]).body(document.to_json())).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        let names: Vec<String> =
            sent(self.request(Method::GET, &["_all_dbs"], &[]).timeout(LONG_TIME_OUT)).await?.json()?;
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

        // sent by itself, since the time is told in a header
        let unreachable = |error: reqwest::Error| Error::Unreachable(error.without_url().to_string());
        let response = self.request(Method::GET, &[], &[]).send().await.map_err(unreachable)?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let (status, body) = (response.status(), response.bytes().await.map_err(unreachable)?);
        let greeting: Greeting = Answer { status, body }.accepted()?.json()?;
        // only an administrator is told, and not every server knows
        let membership = sent(self.request(Method::GET, &["_membership"], &[])).await.ok();
        let membership = membership.and_then(|answer| answer.found()?.json::<Membership>().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(&date).ok());
        Ok(Server::Couch {
            version: greeting.version,
            nodes: membership.map(|told| Nodes { cluster: told.cluster_nodes, connected: told.all_nodes }),
            time: date.map(SystemTime::from),
        })
    }
}

impl Couch {
    /// Sends a request that writes a document.
    async fn write(&self, request: RequestBuilder) -> Result<Revision> {
        #[derive(Deserialize)]
        struct Written {
            rev: String,
        }

        let answer = answered(request).await?;
        if answer.status == StatusCode::CONFLICT {
            return Err(Error::Conflict);
        }
        let written: Written = answer.accepted()?.json()?;
        written.rev.parse().map_err(|error| Error::Corrupt(format!("{error}")))
    }

    async fn view(&self, database: &DbName, view: &View, query: &Query, limit: Option<usize>) -> Result<Vec<Row>> {
        let mut parameters = Vec::new();
        match &query.select {
            Select::From(None) => {}
            Select::From(Some(key)) => parameters.push(("startkey", json::encode(key))),
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
        let answer = sent(self.request(Method::GET, &path, &parameters)).await?;
        let missing = || Error::MissingView { database: database.clone(), design: view.design, view: view.name };
        let rows = answer.found().ok_or_else(missing)?.json::<Listing<ViewRow>>()?.rows;
        // rows whose key is no text are none of ours
        Ok(rows.into_iter().filter_map(ViewRow::with_text_key).collect())
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
    fn with_text_key(self) -> Option<Row> {
        Some(Row { id: self.id, key: json::text(&self.key)?, value: self.value, document: self.doc })
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

/// A whole answer of the server.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// Sends a request whose answer is a success or "not found".
async fn sent(request: RequestBuilder) -> Result<Answer> {
    let answer = answered(request).await?;
    if answer.status == StatusCode::NOT_FOUND { Ok(answer) } else { answer.accepted() }
}

/// Sends a request and reads the whole answer, whatever its status.
async fn answered(request: RequestBuilder) -> Result<Answer> {
    let failed = |error: reqwest::Error| {
        // without its URL, which holds the database's name and may hold credentials
        let error = error.without_url();
        if error.is_timeout() {
            return Error::TimedOut(error.to_string());
        }
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        Error::Unreachable(cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let body = response.bytes().await.map_err(failed)?;
    Ok(Answer { status, body })
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
