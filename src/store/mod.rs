//! A store of CouchDB's kind: databases of documents with revisions, and views over them. It knows nothing of groups
//! or of HTTP requests.
//!
//! [`couch`] is a real CouchDB, [`embedded`] a file of our own that keeps CouchDB's rules. Both are a [`Server`], whose
//! databases operators make, fill and look at; requests need of it no more than a [`Store`], and what is laid over one
//! (metrics, notices, writes that last) is a [`Store`] too.

mod changes;
pub mod couch;
pub mod embedded;
pub mod feeds;
pub mod following;
pub mod lasting;
mod mapping;
pub mod measured;
mod own_writes;
mod ready;
mod rows;

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use prometheus::core::Collector;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::document::{DbName, DocId, Document, Revision};

pub use changes::{Changed, Sequence};
pub use rows::{Direction, Place, Query, Row};

/// What a map function gives a row to: its key and its value, which many rows may share. The keys of our views are texts.
pub type Emit<'a> = dyn FnMut(&str, &Arc<RawValue>) + 'a;

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
    /// Whether its rows are kept in memory while somebody asks for them: those of lists.
    pub is_kept: bool,
    /// The twin: gives the rows of a document.
    pub map: fn(&Document, &mut Emit<'_>),
}

/// A view of Kazoo's own, by which documents are found. Its keys are lists: of a text, and of a word that is always the
/// same where we look.
#[derive(Clone, Copy)]
pub struct Lookup {
    /// The view. The twin gives the text alone.
    pub view: View,
    /// The word.
    pub word: &'static str,
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

/// What went wrong below. That something is not there is no error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote the document since it was read; nothing was written.
    #[error("conflict: the document was written by somebody else meanwhile")]
    Conflict,
    /// No connection.
    #[error("the store can't be reached: {0}")]
    Unreachable(String),
    /// No machine has the name that was given.
    #[error("the store can't be reached: {0}")]
    UnknownHost(String),
    /// Over TLS it is not believed, or speaks none.
    #[error("the store can't be reached: {0}")]
    Untrusted(String),
    /// The user or the password is not the store's, or there is none, or the user may not.
    #[error("the store does not let us in: {0}")]
    Denied(String),
    /// No answer in time. Of a write it is not known whether it happened.
    #[error("the store did not answer in time: {0}")]
    TimedOut(String),
    /// Too much is under way to the store; nothing was sent.
    #[error("too much is under way to the store: {0}")]
    Busy(String),
    /// There is no such database, and nothing was written.
    #[error("there is no database {0}")]
    MissingDatabase(DbName),
    /// The view is not there: its design document is missing.
    #[error(
        "the view {design}/{view} is missing in {database}: run `crossbar-groups views install` on this store, or where it \
         is Kazoo's own (attributes, maintenance) `sup kapps_maintenance refresh {database}`"
    )]
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
    /// What answers is no store, or says nothing that one would say. Of a write it is not known whether it happened.
    #[error("what answers is no store: {0}")]
    Nonsense(String),
    /// There is no room for what was to be written, which did not happen.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store's answer, or what it holds, can't be read.
    #[error("the store's data can't be read: {0}")]
    Corrupt(String),
}

/// A store's answer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What an operator does about it, beside what the error itself says.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable(_) => "see that the CouchDB runs, and that --store has its host and port",
            Self::UnknownHost(_) => "give --store a host's name that this machine can look up, or its address",
            Self::Untrusted(_) => {
                "give --ca the authority of its certificate, and --store the name that the certificate is for; where it \
                 speaks no TLS, http://"
            }
            Self::Denied(_) => {
                "give --store a user that may read and write, and its password: http://user:password@host:5984"
            }
            Self::TimedOut(_) => {
                "see that --store has the port of a CouchDB (https:// where it speaks TLS), that no firewall is between, \
                 and that it is not overloaded"
            }
            Self::Busy(_) => "try again, or allow more at a time: --couch-connections",
            Self::Nonsense(_) => {
                "give --store a CouchDB's own address, as Kazoo has it: no proxy's, and not crossbar's"
            }
            Self::Full(_) => "make room on the store's disk",
            Self::MissingDatabase(_) => "make it by `crossbar-groups import`, or start Kazoo once, which makes it",
            Self::Corrupt(_) => "restore the store from a backup",
            Self::Conflict | Self::MissingView { .. } | Self::Refused(_) => return None,
        })
    }

    /// The same, with the place at which it went wrong.
    fn at(self, place: &str) -> Self {
        let named = |text: String| format!("{place}: {text}");
        match self {
            Self::Unreachable(text) => Self::Unreachable(named(text)),
            Self::UnknownHost(text) => Self::UnknownHost(named(text)),
            Self::Untrusted(text) => Self::Untrusted(named(text)),
            Self::Denied(text) => Self::Denied(named(text)),
            Self::TimedOut(text) => Self::TimedOut(named(text)),
            Self::Busy(text) => Self::Busy(named(text)),
            Self::Refused(text) => Self::Refused(named(text)),
            Self::Nonsense(text) => Self::Nonsense(named(text)),
            Self::Full(text) => Self::Full(named(text)),
            Self::Corrupt(text) => Self::Corrupt(named(text)),
            error @ (Self::Conflict | Self::MissingDatabase(_) | Self::MissingView { .. }) => error,
        }
    }
}

/// What a request needs of a store, and what is laid over one: a cache, notices, metrics. Every method may be called by
/// many at once.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// A document as it is now; None if it, or its database, is not there.
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>>;

    /// Documents as they are now, in as few requests as the store can; those that are not there are left out.
    async fn get_many(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        let mut found = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            found.extend(try_join_all(some.iter().map(|id| self.get(database, id))).await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// The documents that have rows of these keys, each with the key, in as few requests as the store can.
    ///
    /// Errors: [`Error::MissingView`] where the database lacks the view and has too many documents to look at each.
    async fn find(&self, database: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        let mut found = Vec::new();
        for key in keys {
            let mut rows = self.rows(database, &by.view, Query::of_key(key).with_documents());
            while let Some(row) = rows.try_next().await? {
                found.extend(row.document.map(|document| (key.clone(), document)));
            }
        }
        Ok(found)
    }

    /// The documents of the rows that a view of Kazoo's own has of these keys, one key after the other, batch by batch. None
    /// is read before it is asked for.
    ///
    /// Errors: [`Error::MissingView`] where the database lacks the view and has too many documents to look at each.
    fn listed<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
        keys: &'a [&'a str],
    ) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
        rows_documents(self, database, view, keys)
    }

    /// Writes a document: a new one, or with `_rev` the one that it replaces. Gives the new revision. When it
    /// returns, the document is on disk and in its views.
    ///
    /// Errors: [`Error::Conflict`] if the document is there with another revision; [`Error::MissingDatabase`]: none is
    /// ever created.
    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision>;

    /// The rows of a view, to the last, in the direction of the query, batch by batch. None is read before it is asked for.
    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>>;

    /// The same, row by row.
    fn rows<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Row>> {
        let batches = self.batches(database, view, query);
        batches.map_ok(|batch| stream::iter(batch.into_iter().map(Ok))).try_flatten().boxed()
    }

    /// A number that changes whenever something of a database was written, so that what was made of it may be used again
    /// as long as it is the same; None where that is not known.
    fn version(&self, _database: &DbName) -> Option<u64> {
        None
    }

    /// The place that a database's history has reached; None if the database is not there.
    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>>;

    /// The documents that changed after a place of a database's history, each once and as it is now, in the order in which
    /// they changed last; at most so many. None if the store does not know such a place, or the database is not there.
    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>>;

    /// The same without an end, as it happens. An empty batch says that nothing has; one comes every [`HEARTBEAT`].
    ///
    /// Errors: [`Error::MissingDatabase`] once the database is gone. After an error nothing comes.
    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>>;

    /// Whether nobody but this process writes it, so that what it keeps in memory is always true.
    fn is_written_here_alone(&self) -> bool {
        false
    }

    /// A document's attachment; None if it is not there.
    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>>;

    /// Sees whether the store would write now, without changing any document: it goes as far as a write can.
    ///
    /// Errors: why it would not.
    async fn prove_writable(&self) -> Result<()>;

    /// What it counts of itself, to be shown beside what is counted of its calls.
    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        Vec::new()
    }
}

/// [`Store::listed`] by the view's rows.
fn rows_documents<'a, S: Store + ?Sized>(
    store: &'a S,
    database: &'a DbName,
    view: &'a View,
    keys: &'a [&'a str],
) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
    let of_key = move |key: &&str| store.batches(database, view, Query::of_key(*key).with_documents());
    let documents = |rows: Vec<Row>| rows.into_iter().filter_map(|row| row.document).collect();
    stream::iter(keys).map(of_key).flatten().map_ok(documents).boxed()
}

/// What is laid over a store: what it has no method of its own for goes through to the store.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// The store that this is laid over.
    fn store(&self) -> &SharedStore;

    /// [`Store::get`]
    async fn read(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        self.store().get(database, id).await
    }

    /// [`Store::put`]
    async fn write(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.store().put(database, document).await
    }

    /// [`Store::batches`]
    fn list<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        self.store().batches(database, view, query)
    }

    /// [`Store::version`]
    fn version_of(&self, database: &DbName) -> Option<u64> {
        self.store().version(database)
    }

    /// [`Store::follow`]
    fn changes<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.store().follow(database, since)
    }

    /// What it counts of itself.
    fn own_collectors(&self) -> Vec<Box<dyn Collector>> {
        Vec::new()
    }
}

#[async_trait]
impl<L: Layer> Store for L {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        self.read(database, id).await
    }

    async fn get_many(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        self.store().get_many(database, ids).await
    }

    async fn find(&self, database: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        self.store().find(database, by, keys).await
    }

    fn listed<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
        keys: &'a [&'a str],
    ) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
        self.store().listed(database, view, keys)
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.write(database, document).await
    }

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        self.list(database, view, query)
    }

    fn version(&self, database: &DbName) -> Option<u64> {
        self.version_of(database)
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        self.store().sequence(database).await
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        self.store().changed(database, since, most).await
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.changes(database, since)
    }

    fn is_written_here_alone(&self) -> bool {
        self.store().is_written_here_alone()
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.store().attachment(database, id, name).await
    }

    async fn prove_writable(&self) -> Result<()> {
        self.store().prove_writable().await
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut collectors = self.store().collectors();
        collectors.extend(self.own_collectors());
        collectors
    }
}

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

    /// The documents of a database in the order of their ids, from after an id on, at most so many; None if the
    /// database is not there.
    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>>;

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
    fn count<R: PartialEq>(&mut self, before: Option<&R>, after: Option<&R>) {
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

/// A store that many share.
pub type SharedStore = Arc<dyn Store>;

/// A store that many share, whole.
pub type SharedServer = Arc<dyn Server>;

/// What the ids of design documents begin with.
pub const DESIGN: &str = "_design/";

/// How often who follows a database hears that nothing changed: a longer silence is a fault.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How many documents are asked for side by side, where each is asked for alone.
const AT_ONCE: usize = 32;

/// The field of a document that holds its attachments.
const ATTACHMENTS: &str = "_attachments";
