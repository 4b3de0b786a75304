//! What is laid over a store: each layer changes a few of the methods, the others go through.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use prometheus::core::Collector;

use crate::document::{DbName, DocId, Document, Revision};

use super::{Attachments, Changed, Lookup, Query, Result, Row, Sequence, SharedStore, Store, View};

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

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        self.store().dump(database, after, limit, attachments).await
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
