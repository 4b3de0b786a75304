//! What a CouchDB's answers look like: the one place that says it. What does not look so is no answer: a proxy's page,
//! another server's, half of one. Where couch_rs has a type for it, it is read with that.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use couch_rs::management::Membership;
use couch_rs::types::document::DocumentCreatedDetails;
use couch_rs::types::system::CouchResponse;
use reqwest::header::{DATE, ETAG, HeaderMap};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::document::{Document, Revision};

use super::super::{self as store, Error};
use super::feed::{About, Changes};

/// How much of an answer that says why not is told.
const REASON: usize = 200;

/// A whole answer, of whomever.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What CouchDB said.
#[derive(Debug)]
pub(super) enum Said<T> {
    /// It did it, and this came of it.
    Done(T),
    /// It won't, whichever node is asked.
    Refused(Refusal),
}

/// Why CouchDB won't.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {error}, {reason}")]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    error: String,
    reason: String,
}

/// A node did not answer, or not as a CouchDB does.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) fate: Fate,
}

/// What became of a request, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It was not done: it was not sent, or not let in.
    Undone,
    /// It was done, or it was not.
    Decided,
    /// It may still be done: it was sent, and nobody answered.
    Open,
}

/// Why what came is no answer of a CouchDB.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Nonsense(pub(super) String);

/// What a greeting tells.
#[derive(Debug, Deserialize)]
pub(super) struct Greeting {
    pub(super) version: String,
    /// When it was said, by the server's clock, as HTTP writes it.
    #[serde(skip)]
    pub(super) date: Option<String>,
}

/// What a view, or `_all_docs`, tells.
#[derive(Deserialize)]
pub(super) struct Listing<R> {
    pub(super) rows: Vec<R>,
}

impl Answer {
    /// Reads an answer to its end.
    ///
    /// Errors: it does not come whole, or has more bytes than `longest`.
    pub(super) async fn of(mut response: Response, longest: usize) -> Result<Self, Failure> {
        let too_long = || Failure::from(Nonsense(format!("its answer has more than {longest} bytes")));
        if response.content_length().is_some_and(|length| length > longest as u64) {
            return Err(too_long());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if chunk.len() > longest - body.len() {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Self { status: response.status(), headers, body: body.freeze() })
    }

    /// What the answer says; `read` is how one says that it is done.
    ///
    /// Errors: another node has to be asked, since this one does not let us in, fails, or is no CouchDB.
    pub(super) fn said<T>(&self, read: impl Fn(&Self) -> Result<T, Nonsense>) -> Result<Said<T>, Failure> {
        let failed = |fate| Err(Failure { error: Error::Refused(self.start()), fate });
        match self.status {
            status if status.is_success() => Ok(Said::Done(read(self)?)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Failure { error: Error::Denied(self.start()), fate: Fate::Undone })
            }
            StatusCode::TOO_MANY_REQUESTS => failed(Fate::Undone),
            // said by who stands before it, and does not know
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => failed(Fate::Open),
            status if status.is_server_error() => failed(Fate::Decided),
            status if status.is_client_error() => Ok(Said::Refused(self.refusal()?)),
            _ => Err(Nonsense(self.start()).into()),
        }
    }

    /// A document: it has an id.
    pub(super) fn document(&self) -> Result<Document, Nonsense> {
        let document: Document = self.object()?;
        if document.contains("_id") { Ok(document) } else { Err(self.nonsense("a document without _id")) }
    }

    /// What was made of a document that was written: its new revision.
    pub(super) fn written(&self) -> Result<Revision, Nonsense> {
        let written: DocumentCreatedDetails = self.object()?;
        written.rev.parse().map_err(|_| self.nonsense("a revision that is none"))
    }

    /// Rows, which may be made of the answer's own bytes.
    pub(super) fn listing<'a, R: Deserialize<'a>>(&'a self) -> Result<Listing<R>, Nonsense> {
        self.object()
    }

    /// What a database tells of itself.
    pub(super) fn about(&self) -> Result<About, Nonsense> {
        self.object()
    }

    /// What changed.
    pub(super) fn changes(&self) -> Result<Changes, Nonsense> {
        self.object()
    }

    /// The bytes of an attachment: what they are is told by nothing but the entity tag, which is their MD5 or, where
    /// CouchDB keeps none, the document's revision.
    pub(super) fn attachment(&self) -> Result<Bytes, Nonsense> {
        let tag = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"'));
        let is_md5 = |tag: &str| STANDARD.decode(tag).is_ok_and(|digest| digest.len() == 16);
        if tag.is_some_and(|tag| is_md5(tag) || tag.parse::<Revision>().is_ok()) {
            Ok(self.body.clone())
        } else {
            Err(self.nonsense("an attachment without its entity tag"))
        }
    }

    /// That a database was made.
    pub(super) fn made(&self) -> Result<(), Nonsense> {
        let made: CouchResponse = self.object()?;
        if made.ok == Some(true) { Ok(()) } else { Err(self.nonsense("not ok")) }
    }

    /// What was not loaded of documents: each with an error.
    pub(super) fn not_loaded(&self) -> Result<Vec<serde_json::Value>, Nonsense> {
        self.json()
    }

    /// Names of databases.
    pub(super) fn names(&self) -> Result<Vec<String>, Nonsense> {
        self.json()
    }

    /// The nodes of a cluster.
    pub(super) fn membership(&self) -> Result<Membership, Nonsense> {
        self.object()
    }

    /// A greeting. CouchDB welcomes by its name, and what speaks its protocol by another; each tells its version.
    pub(super) fn greeting(&self) -> Result<Greeting, Nonsense> {
        let greeting = self.object::<Greeting>().map_err(|_| self.nonsense("it does not greet as a CouchDB does"))?;
        let date = self.headers.get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(Greeting { date, ..greeting })
    }

    fn refusal(&self) -> Result<Refusal, Nonsense> {
        match self.object()? {
            CouchResponse { error: Some(error), reason: Some(reason), .. } => {
                Ok(Refusal { status: self.status, error, reason })
            }
            _ => Err(self.nonsense("without error and reason")),
        }
    }

    /// One JSON object. Of an array serde would take one value after the other for its fields.
    fn object<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Nonsense> {
        if self.body.trim_ascii_start().starts_with(b"{") { self.json() } else { Err(self.nonsense("no JSON object")) }
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Nonsense> {
        serde_json::from_slice(&self.body).map_err(|error| self.nonsense(&error.to_string()))
    }

    fn nonsense(&self, why: &str) -> Nonsense {
        Nonsense(format!("{why}: {}", self.start()))
    }

    /// The status and how the body begins.
    fn start(&self) -> String {
        let start = &self.body[..self.body.len().min(REASON)];
        format!("{}: {}", self.status, String::from_utf8_lossy(start).trim())
    }
}

impl<T> Said<T> {
    /// What came of it; None if what was asked for is not there.
    ///
    /// Errors: CouchDB refused it for another reason.
    pub(super) fn found(self) -> store::Result<Option<T>> {
        match self {
            Self::Refused(Refusal { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            said => said.done().map(Some),
        }
    }

    /// What came of it.
    ///
    /// Errors: CouchDB refused it.
    pub(super) fn done(self) -> store::Result<T> {
        match self {
            Self::Done(done) => Ok(done),
            Self::Refused(refusal) => Err(refusal.into_error()),
        }
    }
}

impl Refusal {
    pub(super) fn into_error(self) -> Error {
        Error::Refused(self.to_string())
    }
}

impl From<Nonsense> for Failure {
    fn from(nonsense: Nonsense) -> Self {
        Self { error: Error::Nonsense(nonsense.0), fate: Fate::Decided }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let fate = if error.is_connect() { Fate::Undone } else { Fate::Open };
        // without its URL, which holds the database's name
        let error = error.without_url();
        Self { error: unanswered(&error), fate }
    }
}

/// Why no answer came, in the words of what went wrong first, which is the last that a chain of errors names.
fn unanswered(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::TimedOut(error.to_string());
    }
    let causes = || anyhow::Chain::new(error).skip(1);
    if let Some(tls) = causes().find_map(of_tls) {
        return Error::Untrusted(format!("TLS: {tls}"));
    }
    // the connector says so in no other way
    if causes().any(|cause| cause.to_string() == "dns error") {
        return Error::UnknownHost("no machine of this name is known".to_owned());
    }
    match causes().last() {
        Some(cause) => Error::Unreachable(format!("{error}: {cause}")),
        None => Error::Unreachable(error.to_string()),
    }
}

/// TLS's own error, however many I/O errors hold it: they do not name it as their cause.
fn of_tls<'e>(mut cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    loop {
        match cause.downcast_ref() {
            Some(tls) => return Some(tls),
            None => cause = cause.downcast_ref::<io::Error>()?.get_ref()?,
        }
    }
}
