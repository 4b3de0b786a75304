//! A store of CouchDB's kind: databases of documents with revisions, and views over them. It knows nothing of groups
//! or of HTTP requests.
//!
//! [`couch`] is a real CouchDB, [`embedded`] a file of our own that keeps CouchDB's rules. What is laid over a store
//! (a cache, notices) is a [`Store`] too.

pub mod couch;
pub mod embedded;
pub mod measured;
mod rows;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision};

pub use rows::rows;

/// What a map function gives a row to: its key and its value. The keys of our views are texts.
pub type Emit<'a> = dyn FnMut(&str, &RawValue) + 'a;

/// A view: its name in CouchDB, and the native twin of its map function.
#[derive(Clone, Copy)]
pub struct View {
    /// The design document that holds it, without `_design/`.
    pub design: &'static str,
    /// Its name in the design document.
    pub name: &'static str,
    /// To be raised when the twin gives other rows than before: those that a file holds are made anew then.
    pub version: u32,
    /// Whether a database has it.
    pub holds: fn(&DbName) -> bool,
    /// The twin: gives the rows of a document.
    pub map: fn(&Document, &mut Emit<'_>),
}

/// A design document of this crate, for databases in which it is missing.
#[derive(Debug, Clone, Copy)]
pub struct DesignDocument {
    /// Its name, without `_design/`.
    pub name: &'static str,
    /// Whether a database should have it.
    pub holds: fn(&DbName) -> bool,
    /// The document.
    pub json: &'static str,
}

/// One row of a view.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id of the document that emitted it.
    pub id: String,
    /// The key that it was emitted with.
    pub key: String,
    /// The value that it was emitted with.
    pub value: Box<RawValue>,
    /// The document, if the query asked for documents.
    pub document: Option<Document>,
}

/// Which rows of a view, in the order of their keys (as CouchDB collates texts), then of their documents' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// All rows, or those from this key on.
    From(Option<String>),
    /// The rows of one key, or those of them from this document's id on.
    Key(String, Option<String>),
}

/// A question to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which rows.
    pub select: Select,
    /// At most so many rows.
    pub limit: usize,
    /// With the rows' documents.
    pub documents: bool,
}

/// How documents show their attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachments {
    /// By name, as CouchDB's stubs.
    Named,
    /// With their bytes, as dumps have them.
    Inline,
}

/// What a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A file of our own, whose views are native: it needs no design documents.
    Embedded,
    /// A CouchDB, or what speaks its protocol.
    Couch {
        /// Its version, as it says it.
        version: String,
        /// Its cluster's nodes; None if the server does not tell them (to us).
        nodes: Option<Nodes>,
        /// The time by its clock, in whole seconds.
        time: Option<SystemTime>,
        /// Of the nodes by which we reach it, those that do not answer as they should, each with the reason.
        failing: Vec<String>,
    },
}

/// The nodes of a cluster, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// Those that belong to it.
    pub cluster: Vec<String>,
    /// Those that the node we asked is connected to, itself included.
    pub connected: Vec<String>,
}

/// What went wrong below. That something is not there is no error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote the document since it was read; nothing was written.
    #[error("conflict: the document was written by somebody else meanwhile")]
    Conflict,
    /// No connection.
    #[error("the store can't be reached: {0}")]
    Unreachable(String),
    /// No answer in time. Of a write it is not known whether it happened.
    #[error("the store did not answer in time: {0}")]
    TimedOut(String),
    /// There is no such database, and nothing was written.
    #[error("there is no database {0}")]
    MissingDatabase(DbName),
    /// The view is not there: its design document is missing.
    #[error("the view {design}/{view} is missing in {database}: run `crossbar-groups views install` on this store")]
    MissingView {
        /// The database that was asked.
        database: DbName,
        /// The view's design document.
        design: &'static str,
        /// The view.
        view: &'static str,
    },
    /// The store answered that it won't: not authorized, out of space, a fault of its own, …
    #[error("the store refused: {0}")]
    Refused(String),
    /// The store's answer, or what it holds, can't be read.
    #[error("the store's data can't be read: {0}")]
    Corrupt(String),
}

/// A store's answer.
pub type Result<T> = std::result::Result<T, Error>;

/// A store. Every method may be called by many at once.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A document as it is now; None if it, or its database, is not there.
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Document>>;

    /// Writes a document: a new one, or with `_rev` the one that it replaces. Gives the new revision. When it
    /// returns, the document is on disk and in its views.
    ///
    /// Errors: [`Error::Conflict`] if the document is there with another revision; [`Error::MissingDatabase`]: none is
    /// ever created.
    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision>;

    /// The rows of a view, at most as many as the query's limit; [`rows`] goes on from there.
    async fn query(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>>;

    /// A document's attachment; None if it is not there.
    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>>;

    /// Makes a database that is not there yet, and nothing in it.
    async fn create(&self, database: &DbName) -> Result<()>;

    /// Makes a database that is not there yet, and in it the design documents that it should have and lacks.
    async fn prepare(&self, database: &DbName) -> Result<()>;

    /// Writes documents with the revisions and inline attachments that they bring, as replication does: what is
    /// there already stays as it is, and of two revisions the later wins.
    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()>;

    /// The documents of a database in the order of their ids, from after an id on, at most so many, with their
    /// attachments inline as `{"content_type", "data"}`; None if the database is not there.
    async fn dump(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>>;

    /// The documents of a database as [`Store::dump`] orders them, but with their attachments named only, and with
    /// `_conflicts`, the revisions that lost, where there are some.
    async fn documents(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>>;

    /// The design documents of a database; None if the database is not there.
    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>>;

    /// Writes a design document as [`Store::put`] writes others.
    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision>;

    /// The databases that there are, without the server's own, whose names begin with `_`.
    async fn databases(&self) -> Result<Vec<DbName>>;

    /// What the store is.
    async fn server(&self) -> Result<Server>;
}

/// A store that many share.
pub type SharedStore = Arc<dyn Store>;

/// What the ids of design documents begin with.
pub const DESIGN: &str = "_design/";

/// The field of a document that holds its attachments.
const ATTACHMENTS: &str = "_attachments";
