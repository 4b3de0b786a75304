//! A store whose calls are counted and timed.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use crate::document::{DbName, DocId, Document, Revision};
use crate::metrics::Metrics;

use super::{Error, Query, Result, Row, Server, SharedStore, Store, View};

/// Lays [`Metrics`] over a store.
pub struct Measured {
    store: SharedStore,
    metrics: Metrics,
}

impl Measured {
    /// Counts the calls of `store` in `metrics`.
    pub fn new(store: SharedStore, metrics: Metrics) -> Self {
        Self { store, metrics }
    }

    async fn measure<T>(&self, call: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let done = work.await;
        self.metrics.store_call(call, outcome(&done), started.elapsed());
        done
    }
}

fn outcome<T>(done: &Result<T>) -> &'static str {
    match done {
        Ok(_) => "ok",
        Err(Error::Conflict) => "conflict",
        Err(Error::Unreachable(_)) => "unreachable",
        Err(Error::TimedOut(_)) => "timed_out",
        Err(Error::MissingDatabase(_)) => "missing_database",
        Err(Error::MissingView { .. }) => "missing_view",
        Err(Error::Refused(_)) => "refused",
        Err(Error::Corrupt(_)) => "corrupt",
    }
}

#[async_trait]
impl Store for Measured {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Document>> {
        self.measure("get", self.store.get(database, id)).await
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.measure("put", self.store.put(database, document)).await
    }

    async fn query(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>> {
        self.measure("query", self.store.query(database, view, query)).await
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.measure("attachment", self.store.attachment(database, id, name)).await
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        self.measure("create", self.store.create(database)).await
    }

    async fn prepare(&self, database: &DbName) -> Result<()> {
        self.measure("prepare", self.store.prepare(database)).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        self.measure("load", self.store.load(database, documents)).await
    }

    async fn dump(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        self.measure("dump", self.store.dump(database, after, limit)).await
    }

    async fn documents(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        self.measure("documents", self.store.documents(database, after, limit)).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        self.measure("design_documents", self.store.design_documents(database)).await
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.measure("put_design", self.store.put_design(database, document)).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        self.measure("databases", self.store.databases()).await
    }

    async fn server(&self) -> Result<Server> {
        self.measure("server", self.store.server()).await
    }
}
