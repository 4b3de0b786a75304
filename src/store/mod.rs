//! A store of CouchDB's kind: databases of documents with revisions, and views over them. It knows nothing of groups
//! or of HTTP requests.
//!
//! [`couch`] is a real CouchDB, [`embedded`] a file of our own that keeps CouchDB's rules. Both are a [`Server`], whose
//! databases operators make, fill and look at; requests need of it no more than a [`Store`], and what is laid over one
//! (metrics, notices, writes that last) is a [`Store`] too.

mod changes;
pub mod couch;
pub mod embedded;
mod error;
pub mod feeds;
pub mod following;
pub mod lasting;
mod layer;
mod mapping;
pub mod measured;
mod own_writes;
mod ready;
mod rows;
mod server;
mod view;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use prometheus::core::Collector;

use crate::document::{DbName, DocId, Document, Revision};

pub use changes::{Changed, Sequence};
pub use error::{Error, Result};
pub use layer::Layer;
pub use rows::{Direction, Place, Query, Row};
pub use server::{Attachments, Entry, Loaded, Nodes, Server, ServerInfo, SharedServer};
pub use view::{DESIGN, DesignDocument, Emit, Lookup, View};

/// How often who follows a database hears that nothing changed: a longer silence is a fault.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How many documents are asked for side by side, where each is asked for alone.
const AT_ONCE: usize = 32;

/// The field of a document that holds its attachments.
const ATTACHMENTS: &str = "_attachments";

/// A store that many share.
pub type SharedStore = Arc<dyn Store>;

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

    /// The documents of a database in the order of their ids, from after an id on, at most so many; None if the
    /// database is not there.
    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>>;

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
