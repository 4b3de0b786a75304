//! A store of which many may follow the same database: all of them share one feed of the store's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use prometheus::IntGauge;
use prometheus::core::Collector;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::background::Background;
use crate::document::{DbName, DocId, Document, Revision};

use super::{Changed, Error, Lookup, Query, Result, Row, Sequence, SharedStore, Store, View};

/// How many batches may wait for one who follows: who is slower has to begin again.
const WAITING: usize = 256;

/// How many changes of before are read at a time.
const AT_ONCE: usize = 200;

/// What a feed gives to all who follow it.
type Batch = Result<Arc<Vec<Changed>>>;

/// Shares the feeds of a store.
pub struct Feeds {
    store: SharedStore,
    background: Background,
    open: Arc<Mutex<Open>>,
    number: IntGauge,
}

/// The feeds that are open.
#[derive(Default)]
struct Open {
    feeds: HashMap<DbName, Feed>,
    /// How many were opened.
    opened: u64,
}

/// A feed that is open, or about to be.
struct Feed {
    /// Which of those that were opened it is.
    number: u64,
    batches: broadcast::Sender<Batch>,
    /// Whether it is known from where it goes on: what comes before that has to be read.
    has_begun: watch::Receiver<bool>,
}

impl Feeds {
    /// Follows databases of `store` by tasks of `background`.
    pub fn new(store: SharedStore, background: Background) -> Self {
        // it fails where the name is none
        let number = IntGauge::new("crossbar_feeds", "Databases whose changes are followed")
            .unwrap_or_else(|error| unreachable!("metrics: {error}"));
        Self { store, background, open: Arc::default(), number }
    }

    /// The batches of a database's feed from now on, which is opened if it is not.
    fn join(&self, database: &DbName) -> (broadcast::Receiver<Batch>, watch::Receiver<bool>) {
        let mut open = lock(&self.open);
        if let Some(feed) = open.feeds.get(database) {
            return (feed.batches.subscribe(), feed.has_begun.clone());
        }
        open.opened += 1;
        let number = open.opened;
        let (batches, joined) = broadcast::channel(WAITING);
        let (begun, has_begun) = watch::channel(false);
        let feed = Feed { number, batches: batches.clone(), has_begun: has_begun.clone() };
        open.feeds.insert(database.clone(), feed);
        self.number.inc();
        let (open, open_feeds) = (Arc::clone(&self.open), self.number.clone());
        let entry = Entry { open, database: database.clone(), number, open_feeds };
        let store = Arc::clone(&self.store);
        self.background.start(move |stopping| async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                error = share(&store, &entry, &batches, begun) => {
                    // whoever comes from now on opens another
                    entry.close(|_| true);
                    // nobody may be there to be told
                    let _ = batches.send(Err(error));
                }
            }
        });
        (joined, has_begun)
    }
}

/// Gives what a database's feed gives to all who follow it, until nobody does.
///
/// Gives why it ended.
async fn share(
    store: &SharedStore,
    entry: &Entry,
    batches: &broadcast::Sender<Batch>,
    begun: watch::Sender<bool>,
) -> Error {
    let database = &entry.database;
    let since = match store.sequence(database).await {
        Ok(Some(since)) => since,
        Ok(None) => return Error::MissingDatabase(database.clone()),
        Err(error) => return error,
    };
    begun.send_replace(true);
    let mut feed = store.follow(database, since);
    loop {
        match feed.next().await {
            Some(Ok(changed)) => drop(batches.send(Ok(Arc::new(changed)))),
            Some(Err(error)) => return error,
            None => return Error::Unreachable("the feed of changes ended".to_owned()),
        }
        if entry.close(|feed| feed.batches.receiver_count() == 0) {
            return Error::Unreachable("nobody follows any longer".to_owned());
        }
    }
}

/// A feed's place among those that are open, which is free again when this is dropped.
struct Entry {
    open: Arc<Mutex<Open>>,
    database: DbName,
    number: u64,
    open_feeds: IntGauge,
}

impl Entry {
    /// Takes the feed out, if it is as `may` says. Whether it is out.
    fn close(&self, may: impl Fn(&Feed) -> bool) -> bool {
        let mut open = lock(&self.open);
        match open.feeds.get(&self.database) {
            Some(feed) if feed.number != self.number => true,
            Some(feed) if !may(feed) => false,
            _ => {
                open.feeds.remove(&self.database);
                true
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.close(|_| true);
        self.open_feeds.dec();
    }
}

/// Who follows: first what changed before the feed was joined, then what the feed gives.
struct Follower<'s> {
    store: &'s SharedStore,
    database: &'s DbName,
    batches: broadcast::Receiver<Batch>,
    has_begun: watch::Receiver<bool>,
    /// Where the past is read on from; None once it is read.
    since: Option<Sequence>,
    /// What the past gave, which the feed may give again, or as it was before.
    given: HashMap<Arc<str>, Revision>,
    /// How often the feed said that nothing happened since it was joined.
    quiet: u8,
}

impl Follower<'_> {
    async fn next(&mut self) -> Result<Vec<Changed>> {
        if let Some(since) = &self.since {
            // who opens it ends it if that fails, and tells why
            let _ = self.has_begun.wait_for(|has_begun| *has_begun).await;
            let past = self.store.changed(self.database, since, AT_ONCE).await?;
            let past = past.ok_or_else(|| Error::MissingDatabase(self.database.clone()))?;
            self.since = past.last().map(|last| last.sequence.clone());
            if !past.is_empty() {
                self.given.extend(past.iter().map(|changed| (Arc::clone(&changed.id), changed.revision.clone())));
                return Ok(past);
            }
        }
        loop {
            let batch = match self.batches.recv().await {
                Ok(batch) => batch?,
                Err(RecvError::Lagged(_)) => {
                    return Err(Error::Busy("changes come faster than they are taken".to_owned()));
                }
                Err(RecvError::Closed) => return Err(Error::Unreachable("the feed of changes ended".to_owned())),
            };
            if batch.is_empty() {
                self.quiet = self.quiet.saturating_add(1);
            }
            // the first may have been said before the past was read; what was done till then comes before the second
            if self.quiet == 2 {
                self.given = HashMap::new();
            }
            let fresh: Vec<Changed> = batch.iter().filter(|changed| self.is_fresh(changed)).cloned().collect();
            if !fresh.is_empty() || batch.is_empty() {
                return Ok(fresh);
            }
        }
    }

    /// Whether a change is none that the past gave.
    fn is_fresh(&mut self, changed: &Changed) -> bool {
        if self.given.get(&changed.id).is_some_and(|given| changed.revision <= *given) {
            return false;
        }
        self.given.remove(&changed.id);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Store for Feeds {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        self.store.get(database, id).await
    }

    async fn get_many(&self, database: &DbName, ids: &[DocId]) -> Result<Vec<Arc<Document>>> {
        self.store.get_many(database, ids).await
    }

    async fn find(&self, database: &DbName, by: &Lookup, keys: &[String]) -> Result<Vec<(String, Arc<Document>)>> {
        self.store.find(database, by, keys).await
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.store.put(database, document).await
    }

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        self.store.batches(database, view, query)
    }

    fn version(&self, database: &DbName) -> Option<u64> {
        self.store.version(database)
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        self.store.sequence(database).await
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        self.store.changed(database, since, most).await
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        let (batches, has_begun) = self.join(database);
        let (store, since, given) = (&self.store, Some(since), HashMap::new());
        let follower = Follower { store, database, batches, has_begun, since, given, quiet: 0 };
        stream::try_unfold(follower, async |mut follower| Ok(Some((follower.next().await?, follower)))).boxed()
    }

    fn is_written_here_alone(&self) -> bool {
        self.store.is_written_here_alone()
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.store.attachment(database, id, name).await
    }

    async fn prove_writable(&self) -> Result<()> {
        self.store.prove_writable().await
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut collectors = self.store.collectors();
        collectors.push(Box::new(self.number.clone()));
        collectors
    }
}
