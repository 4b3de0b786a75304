//! A store of which many may follow the same database: all of them share one feed of the store's.

mod follower;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use prometheus::IntGauge;
use prometheus::core::Collector;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::background::Background;
use crate::document::DbName;
use crate::metrics::{UnderWay, made};

use super::{Changed, Error, Layer, Result, Sequence, SharedStore};

use follower::Follower;

/// How many batches may wait for one who follows: who is slower has to begin again.
const WAITING: usize = 64;

/// How many bytes of documents may wait for them all.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How long a feed goes on that nobody follows: who was cut off comes back.
const LINGER: Duration = Duration::from_secs(5);

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
    /// How far it has got, or a little less; None as long as it is not known from where it goes on.
    reached: watch::Receiver<Option<Sequence>>,
}

/// What who follows is given of a feed.
struct Joined {
    batches: broadcast::Receiver<Batch>,
    reached: watch::Receiver<Option<Sequence>>,
    /// How far it had got before.
    from: Option<Sequence>,
}

impl Feeds {
    /// Follows databases of `store` by tasks of `background`.
    pub fn new(store: SharedStore, background: Background) -> Self {
        let number = made(IntGauge::new("crossbar_feeds", "Databases whose changes are followed"));
        Self { store, background, open: Arc::default(), number }
    }

    /// The batches of a database's feed from now on, which is opened if it is not.
    fn join(&self, database: &DbName) -> Joined {
        let mut open = lock(&self.open);
        if let Some(feed) = open.feeds.get(database) {
            // in this order: what is given from now on comes after it
            let from = feed.reached.borrow().clone();
            return Joined { batches: feed.batches.subscribe(), reached: feed.reached.clone(), from };
        }
        open.opened += 1;
        let number = open.opened;
        let (batches, joined) = broadcast::channel(WAITING);
        let (reaches, reached) = watch::channel(None);
        let feed = Feed { number, batches: batches.clone(), reached: reached.clone() };
        open.feeds.insert(database.clone(), feed);
        let (open, counted) = (Arc::clone(&self.open), UnderWay::of(&self.number));
        let entry = Entry { open, database: database.clone(), number, _counted: counted };
        let store = Arc::clone(&self.store);
        self.background.start(move |stopping| async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                error = share(&store, &entry, &batches, reaches) => {
                    // whoever comes from now on opens another
                    entry.close(|_| true);
                    // nobody may be there to be told
                    let _ = batches.send(Err(error));
                }
            }
        });
        Joined { batches: joined, reached, from: None }
    }
}

/// Gives what a database's feed gives to all who follow it, until nobody does.
///
/// Gives why it ended.
async fn share(
    store: &SharedStore,
    entry: &Entry,
    batches: &broadcast::Sender<Batch>,
    reaches: watch::Sender<Option<Sequence>>,
) -> Error {
    let database = &entry.database;
    let since = match store.sequence(database).await {
        Ok(Some(since)) => since,
        Ok(None) => return Error::MissingDatabase(database.clone()),
        Err(error) => return error,
    };
    reaches.send_replace(Some(since.clone()));
    let mut followed = Instant::now();
    let mut feed = store.follow(database, since);
    let mut waiting = Waiting::default();
    loop {
        match feed.next().await {
            Some(Ok(changed)) => {
                let last = changed.last().map(|last| last.sequence.clone());
                let batch = Arc::new(changed);
                if !waiting.has_room_for(&batch) {
                    return Error::Busy("changes come faster than they are taken".to_owned());
                }
                // nobody may be there, for a while
                let _ = batches.send(Ok(batch));
                if last.is_some() {
                    reaches.send_replace(last);
                }
            }
            Some(Err(error)) => return error,
            None => return Error::Unreachable("the feed of changes ended".to_owned()),
        }
        if batches.receiver_count() > 0 {
            followed = Instant::now();
        } else if followed.elapsed() >= LINGER && entry.close(|feed| feed.batches.receiver_count() == 0) {
            return Error::Unreachable("nobody follows any longer".to_owned());
        }
    }
}

/// The batches that somebody has yet to take, and how many bytes they have.
#[derive(Default)]
struct Waiting(VecDeque<(Weak<Vec<Changed>>, usize)>);

impl Waiting {
    /// Whether another batch may wait, which it does then. A lone one always may.
    fn has_room_for(&mut self, batch: &Arc<Vec<Changed>>) -> bool {
        self.0.retain(|(waiting, _)| waiting.strong_count() > 0);
        let bytes = batch.iter().map(Changed::bytes).sum();
        let waiting: usize = self.0.iter().map(|(_, bytes)| bytes).sum();
        let has_room = self.0.is_empty() || waiting + bytes <= WAITING_BYTES;
        self.0.push_back((Arc::downgrade(batch), bytes));
        has_room
    }
}

/// A feed's place among those that are open, which is free again when this is dropped.
struct Entry {
    open: Arc<Mutex<Open>>,
    database: DbName,
    number: u64,
    _counted: UnderWay,
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
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Layer for Feeds {
    fn store(&self) -> &SharedStore {
        &self.store
    }

    fn changes<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        Follower::new(&self.store, database, self.join(database), since).changes()
    }

    fn own_collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.number.clone())]
    }
}

#[cfg(test)]
mod tests;
