//! A store whose writes go on whoever waits for them: a client may hang up, or its time may end, and still the document
//! is written, what became of it is found out, and what is laid under this (notices) hears of it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot};

use crate::background::Background;
use crate::document::{DbName, Document, Revision};
use crate::metrics::Metrics;

use super::{Error, Layer, Result, SharedStore};

/// How many writes may be under way; a further one is refused.
const WRITES: usize = 1_024;

/// Makes the writes of a store last.
pub struct Lasting {
    store: SharedStore,
    room: Arc<Semaphore>,
    background: Background,
    metrics: Metrics,
}

impl Lasting {
    /// Writes into `store` by tasks of `background`, which waits for them.
    pub fn new(store: SharedStore, background: Background, metrics: Metrics) -> Self {
        Self { store, room: Arc::new(Semaphore::new(WRITES)), background, metrics }
    }
}

#[async_trait]
impl Layer for Lasting {
    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn write(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            self.metrics.write_refused();
            return Err(Error::Busy(format!("{WRITES} writes are not done yet")));
        };
        let (store, database, document) = (Arc::clone(&self.store), database.clone(), document.clone());
        let under_way = self.metrics.write_under_way();
        let (tell, told) = oneshot::channel();
        self.background.write(async move {
            let _until_done = (room, under_way);
            let done = store.put(&database, &document).await;
            if let Err(done) = tell.send(done) {
                let id = document.id().unwrap_or_default();
                match done {
                    Ok(revision) => log::warn!("{database}/{id} was written as {revision}; nobody waits any longer"),
                    Err(error) => log::error!("{database}/{id} was not written: {error}; nobody waits any longer"),
                }
            }
        });
        told.await.unwrap_or_else(|_| Err(Error::Unreachable("the write was cut off".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use futures::future::join_all;
    use futures::stream::{self, BoxStream, StreamExt};
    use tokio::time::timeout;

    use crate::document::DocId;
    use crate::store::{Attachments, Changed, Query, Row, Sequence, Store, View};

    use super::*;

    /// It takes writes and never answers.
    struct Silent;

    #[async_trait]
    impl Store for Silent {
        async fn get(&self, _: &DbName, _: &DocId) -> Result<Option<Arc<Document>>> {
            Ok(None)
        }

        async fn put(&self, _: &DbName, _: &Document) -> Result<Revision> {
            std::future::pending().await
        }

        fn batches<'a>(&'a self, _: &'a DbName, _: &'a View, _: Query) -> BoxStream<'a, Result<Vec<Row>>> {
            stream::empty().boxed()
        }

        async fn dump(&self, _: &DbName, _: Option<&str>, _: usize, _: Attachments) -> Result<Option<Vec<Document>>> {
            Ok(None)
        }

        async fn sequence(&self, _: &DbName) -> Result<Option<Sequence>> {
            Ok(None)
        }

        async fn changed(&self, _: &DbName, _: &Sequence, _: usize) -> Result<Option<Vec<Changed>>> {
            Ok(None)
        }

        fn follow<'a>(&'a self, _: &'a DbName, _: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
            stream::empty().boxed()
        }

        async fn attachment(&self, _: &DbName, _: &DocId, _: &str) -> Result<Option<Bytes>> {
            Ok(None)
        }

        async fn prove_writable(&self) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_are_not_done_are_no_more_than_there_is_room_for() {
        let store = Lasting::new(Arc::new(Silent), Background::here(), Metrics::new(SystemTime::UNIX_EPOCH));
        let (database, document) = (DbName::fixed("accounts"), Document::new());
        let writes = join_all((0..WRITES).map(|_| store.put(&database, &document)));
        // whoever waited has given up, and the writes are under way all the same
        assert!(timeout(Duration::from_secs(60), writes).await.is_err());
        assert!(matches!(store.put(&database, &document).await, Err(Error::Busy(_))));
    }
}
