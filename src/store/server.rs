//! What operators need of a store, and requests do not.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::Serialize;

use crate::document::{DbName, Document, Revision};

use super::{Result, Store};

/// What operators need of a store: whole databases, and what the store is. Nothing is laid over it.
#[async_trait]
pub trait Server: Store {
    /// Whether views are native, so that databases need no design documents.
    fn has_native_views(&self) -> bool;

    /// Makes a database that is not there yet, and nothing in it.
    async fn create(&self, database: &DbName) -> Result<()>;

    /// The databases that there are, without the server's own, whose names begin with `_`.
    async fn databases(&self) -> Result<Vec<DbName>>;

    /// Writes documents with the revisions and inline attachments that they bring, as replication does: what is
    /// there already stays as it is, and of two revisions the later wins. Gives what became of them.
    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<Loaded>;

    /// The design documents of a database; None if the database is not there.
    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>>;

    /// Writes a design document as [`Store::put`] writes others.
    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision>;

    /// What the store is.
    async fn info(&self) -> Result<ServerInfo>;

    /// Everything in the store as it was at one moment, while it goes on being written.
    ///
    /// Errors: the store fails, or is one that knows no moment of all its databases.
    fn snapshot(&self) -> BoxStream<'static, Result<Entry>>;
}

/// A store that many share, whole.
pub type SharedServer = Arc<dyn Server>;

/// How documents show their attachments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachments {
    /// By name, as CouchDB's stubs; and documents with `_conflicts`, the revisions that lost, where there are some.
    Named,
    /// With their bytes, as dumps have them: `{"content_type", "data"}`.
    Inline,
}

/// What a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerInfo {
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

/// What became of documents that were loaded: how many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// Was not there, and is now.
    pub new: u64,
    /// Was there with another revision, and is now as it was brought.
    pub changed: u64,
    /// Is as it was: the same revision was there, or a later one.
    pub unchanged: u64,
}

impl Loaded {
    /// Counts a document by the revisions that were and are there.
    pub(super) fn count<R: PartialEq>(&mut self, before: Option<&R>, after: Option<&R>) {
        match before {
            _ if before == after => self.unchanged += 1,
            None => self.new += 1,
            Some(_) => self.changed += 1,
        }
    }

    /// How many there are.
    pub fn documents(&self) -> u64 {
        self.new + self.changed + self.unchanged
    }
}

impl AddAssign for Loaded {
    fn add_assign(&mut self, more: Self) {
        self.new += more.new;
        self.changed += more.changed;
        self.unchanged += more.unchanged;
    }
}

/// What a snapshot gives: each database's name, and then its documents in the order of their ids, attachments inline.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The documents that follow are this database's.
    Database(DbName),
    /// A document.
    Document(Document),
}
