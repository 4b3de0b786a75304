//! A store whose calls are counted and timed.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::document::{DbName, DocId, Document, Revision};
use crate::metrics::Metrics;

use super::{Attachments, Changed, Error, Lookup, Query, Result, Row, Sequence, SharedStore, Store, View};

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

    async fn measure<T>(&self, call: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let done = work.await;
        self.metrics.store_call(call, outcome(&done), started.elapsed());
        done
    }

    /// The same of a stream, as one call: how long was waited for it.
    fn waited<'a, T: 'a>(
        &'a self,
        call: &'static str,
        mut batches: BoxStream<'a, Result<T>>,
    ) -> BoxStream<'a, Result<T>> {
        let mut meter = Meter { metrics: &self.metrics, call, since: None, waited: Duration::ZERO, outcome: None };
        stream::poll_fn(move |context| {
            let next = batches.poll_next_unpin(context);
            meter.polled(&next);
            next
        })
        .boxed()
    }
}

/// Measures how long was waited for a stream; counts it when it is dropped, unless nobody waited any longer.
struct Meter<'m> {
    metrics: &'m Metrics,
    call: &'static str,
    /// Since when is waited for the next row, if it was not there at once.
    since: Option<Instant>,
    waited: Duration,
    outcome: Option<&'static str>,
}

impl Meter<'_> {
    fn polled<T>(&mut self, next: &Poll<Option<Result<T>>>) {
        match next {
            Poll::Pending => {
                self.since.get_or_insert_with(Instant::now);
                self.outcome = None;
            }
            Poll::Ready(next) => {
                self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
                self.outcome = Some(next.as_ref().map_or("ok", outcome));
            }
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.metrics.store_call(self.call, outcome, self.waited);
        }
    }
}

fn outcome<T>(done: &Result<T>) -> &'static str {
    match done {
        Ok(_) => "ok",
        Err(Error::Conflict) => "conflict",
        Err(Error::Unreachable(_) | Error::UnknownHost(_) | Error::Untrusted(_)) => "unreachable",
        Err(Error::TimedOut(_)) => "timed_out",
        Err(Error::Busy(_)) => "busy",
        Err(Error::MissingDatabase(_)) => "missing_database",
        Err(Error::MissingView { .. }) => "missing_view",
        Err(Error::Refused(_) | Error::Denied(_)) => "refused",
        Err(Error::Nonsense(_)) => "nonsense",
        Err(Error::Full(_)) => "full",
        Err(Error::Corrupt(_)) => "corrupt",
    }
}

#[async_trait]
impl Store for Measured {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        self.measure("get", self.store.get(database, id)).await
    }

    async fn get_many(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        self.measure("get_many", self.store.get_many(database, ids)).await
    }

    async fn find(&self, database: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        self.measure("find", self.store.find(database, by, keys)).await
    }

    fn listed<'a>(
        &'a self,
        database: &'a DbName,
        view: &'a View,
        keys: &'a [&'a str],
    ) -> BoxStream<'a, Result<Vec<Arc<Document>>>> {
        self.waited("listed", self.store.listed(database, view, keys))
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.measure("put", self.store.put(database, document)).await
    }

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        self.waited("rows", self.store.batches(database, view, query))
    }

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        self.measure("dump", self.store.dump(database, after, limit, attachments)).await
    }

    fn version(&self, database: &DbName) -> Option<u64> {
        self.store.version(database)
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        self.measure("sequence", self.store.sequence(database)).await
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        self.measure("changed", self.store.changed(database, since, most)).await
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.store.follow(database, since)
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.measure("attachment", self.store.attachment(database, id, name)).await
    }

    async fn prove_writable(&self) -> Result<()> {
        self.measure("prove_writable", self.store.prove_writable()).await
    }
}
