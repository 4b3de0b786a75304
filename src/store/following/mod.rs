//! A CouchDB of which what is asked for most is kept in memory, held true by its feeds of changes.
//!
//! The first who asks for an account's database has it loaded and followed; until it is caught up, and from the moment on
//! at which its feed breaks or is silent, all is asked of the CouchDB. A write of ours is seen at once; others' when the feed
//! tells of them. What the feed tells late never takes the place of what is known to be newer.

mod follower;

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use prometheus::core::Collector;

use crate::background::Background;
use crate::document::{DbName, DocId, Document, Revision};

use super::ready::{Change, Database};
use super::rows::{BATCH_BYTES, Batch, in_batches};
use super::{Error, Layer, Query, Result, Row, SharedStore, View};

use follower::Follower;

/// Keeps what is asked for most of a store that others write too.
pub struct Following {
    follower: Arc<Follower>,
    background: Background,
}

impl Following {
    /// Keeps so many bytes of `store`, whose `views` have these twins; follows it by tasks of `background`.
    ///
    /// Errors: never, as long as the collation's data are part of this program.
    pub fn new(store: SharedStore, views: &'static [View], memory: usize, background: Background) -> Result<Self> {
        Ok(Self { follower: Arc::new(Follower::new(store, views, memory)?), background })
    }

    /// A database that is held true.
    fn live(&self, name: &DbName) -> Option<Arc<Database>> {
        self.follower
            .ready
            .database(name)
            .filter(|database| database.held.is_live())
            .inspect(|database| database.held.is_asked())
    }

    /// Has a database held true, in which something was found, if nobody does yet.
    fn begin(&self, name: &DbName) {
        let Some(database) = self.follower.ready.database(name) else { return };
        if !self.follower.leaves_alone(name) && database.held.begin() {
            let (name, follower) = (name.clone(), Arc::clone(&self.follower));
            self.background.start(move |stopping| async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = follower.hold(&name, &database) => {}
                }
            });
        }
    }

    /// The rows of a query as they are kept, with their documents; where too many of these have to be read, the first. Once
    /// they are not held true any longer, they are the store's.
    async fn batch(&self, name: &DbName, database: &Arc<Database>, view: &View, query: Query) -> Result<Batch> {
        let kept = self.follower.ready.batch(database, view, &query).filter(|_| database.held.is_live());
        let Some((mut batch, documents)) = kept else {
            let rows = self.follower.store.batches(name, view, query).try_next().await?.unwrap_or_default();
            return Ok(Batch { rows, is_last: false });
        };
        let mut bytes = 0;
        for at in 0..documents.len() {
            if batch.rows[at].document.is_some() {
                continue;
            }
            if bytes >= BATCH_BYTES {
                batch.rows.truncate(at);
                batch.is_last = false;
                break;
            }
            if let Ok(id) = batch.rows[at].id.parse::<DocId>() {
                let read = self.follower.store.get(name, &id);
                batch.rows[at].document = self.follower.ready.document(name, database, id.as_str(), read).await?;
                bytes += batch.rows[at].bytes();
            }
        }
        Ok(batch)
    }

    /// A document of ours was written, or was found written by somebody else: it is seen at once.
    fn seen(&self, name: &DbName, database: &Arc<Database>, id: &Arc<str>, document: Option<Document>) {
        let revision = document.as_ref().and_then(Document::revision);
        database.own_writes.end(id, revision.as_ref(), || {
            if let Some(document) = document.filter(|_| self.follower.ready.keeps(name, database)) {
                let rows = Arc::new(self.follower.mapping.map(name, &document));
                let (database, id, document) = (name.clone(), Arc::clone(id), Some(Arc::new(document)));
                self.follower.ready.change(Change { database, id, document, rows });
            }
        });
    }
}

#[async_trait]
impl Layer for Following {
    fn store(&self) -> &SharedStore {
        &self.follower.store
    }

    async fn read(&self, name: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        if let Some(database) = self.live(name) {
            return self.follower.ready.document(name, &database, id.as_str(), self.follower.store.get(name, id)).await;
        }
        let found = self.follower.store.get(name, id).await?;
        // who looks at an account, its users or its configuration may want nothing of what is kept
        if found.as_ref().is_some_and(|document| self.follower.ready.has_rows_of(document)) {
            self.begin(name);
        }
        Ok(found)
    }

    async fn write(&self, name: &DbName, document: &Document) -> Result<Revision> {
        let kept = self.follower.ready.kept(name).zip(document.id().map(Arc::<str>::from));
        if let Some((database, id)) = &kept {
            database.own_writes.begin(id);
        }
        let written = self.follower.store.put(name, document).await;
        if let Some((database, id)) = &kept {
            let now = match &written {
                Ok(revision) => {
                    let mut document = document.clone();
                    document.set_text("_rev", &revision.to_string());
                    Some(document)
                }
                // whoever tries again is to see what came between
                Err(Error::Conflict) => match id.parse::<DocId>() {
                    Ok(id) => self.follower.store.get(name, &id).await.ok().flatten().map(Arc::unwrap_or_clone),
                    Err(_) => None,
                },
                Err(_) => None,
            };
            self.seen(name, database, id, now);
        }
        written
    }

    fn list<'a>(&'a self, name: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        match self.live(name).filter(|database| self.follower.ready.has_rows(database, view)) {
            Some(database) => {
                let read = move |query, _| {
                    let database = Arc::clone(&database);
                    async move { self.batch(name, &database, view, query).await }
                };
                in_batches(query, usize::MAX, read).boxed()
            }
            None => {
                // whose rows are asked for is known to be there
                self.begin(name);
                self.follower.store.batches(name, view, query)
            }
        }
    }

    fn version_of(&self, name: &DbName) -> Option<u64> {
        self.live(name).map(|database| database.version())
    }

    fn own_collectors(&self) -> Vec<Box<dyn Collector>> {
        self.follower.collectors()
    }
}
