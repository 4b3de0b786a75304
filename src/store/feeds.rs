//! A store of which many may follow the same database: all of them share one feed of the store's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use prometheus::IntGauge;
use prometheus::core::Collector;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::background::Background;
use crate::document::{DbName, Revision};

use super::{Changed, Error, Layer, Result, Sequence, SharedStore};

/// How many batches may wait for one who follows: who is slower has to begin again.
const WAITING: usize = 64;

/// How many bytes of documents may wait for them all.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How long a feed goes on that nobody follows: who was cut off comes back.
const LINGER: Duration = Duration::from_secs(5);

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
        // it fails where the name is none
        let number = IntGauge::new("crossbar_feeds", "Databases whose changes are followed")
            .unwrap_or_else(|error| unreachable!("metrics: {error}"));
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
        self.number.inc();
        let (open, open_feeds) = (Arc::clone(&self.open), self.number.clone());
        let entry = Entry { open, database: database.clone(), number, open_feeds };
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
    joined: Joined,
    /// Where the past is read on from; None once it is read.
    since: Option<Sequence>,
    /// What the past gave, and what was known before it: the feed may give it again, or as it was before.
    given: HashMap<Arc<str>, Revision>,
    /// How many batches came before the past was read.
    before: usize,
    /// How often the feed said since then that nothing happened.
    quiet: u8,
}

impl Follower<'_> {
    async fn next(&mut self) -> Result<Vec<Changed>> {
        if let Some(since) = self.since.clone() {
            // who opens it ends it if that fails, and tells why
            let _ = self.joined.reached.wait_for(Option::is_some).await;
            if let Some(from) = self.joined.from.take().filter(|from| *from != since) {
                self.know(from).await?;
            }
            let past = self.past(&since).await?;
            self.since = past.last().map(|last| last.sequence.clone());
            if !past.is_empty() {
                self.give(&past);
                return Ok(past);
            }
            self.before = self.joined.batches.len();
        }
        loop {
            let batch = match self.joined.batches.recv().await {
                Ok(batch) => batch?,
                Err(RecvError::Lagged(_)) => {
                    return Err(Error::Busy("changes come faster than they are taken".to_owned()));
                }
                Err(RecvError::Closed) => return Err(Error::Unreachable("the feed of changes ended".to_owned())),
            };
            match self.before.checked_sub(1) {
                Some(before) => self.before = before,
                None if batch.is_empty() => self.quiet = self.quiet.saturating_add(1),
                None => {}
            }
            // what was done until the first comes before the second
            if self.quiet == 2 {
                self.given = HashMap::new();
            }
            let fresh: Vec<Changed> = batch.iter().filter(|changed| self.is_fresh(changed)).cloned().collect();
            if !fresh.is_empty() || batch.is_empty() {
                return Ok(fresh);
            }
        }
    }

    /// What a feed that is behind will give although it was known at `since`, or is of the past.
    async fn know(&mut self, mut from: Sequence) -> Result<()> {
        loop {
            let behind = self.past(&from).await?;
            let Some(last) = behind.last() else { return Ok(()) };
            from = last.sequence.clone();
            self.give(&behind);
        }
    }

    async fn past(&self, since: &Sequence) -> Result<Vec<Changed>> {
        let past = self.store.changed(self.database, since, AT_ONCE).await?;
        past.ok_or_else(|| Error::MissingDatabase(self.database.clone()))
    }

    fn give(&mut self, past: &[Changed]) {
        self.given.extend(past.iter().map(|changed| (Arc::clone(&changed.id), changed.revision.clone())));
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
impl Layer for Feeds {
    fn store(&self) -> &SharedStore {
        &self.store
    }

    fn changes<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        let (store, joined, since) = (&self.store, self.join(database), Some(since));
        let follower = Follower { store, database, joined, since, given: HashMap::new(), before: 0, quiet: 0 };
        stream::try_unfold(follower, async |mut follower| Ok(Some((follower.next().await?, follower)))).boxed()
    }

    fn own_collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.number.clone())]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures::future::join_all;
    use tokio::time::{sleep, timeout};

    use crate::document::{DocId, Document};

    use super::super::{HEARTBEAT, Query, Row, Store, View};
    use super::*;

    /// A store whose feed tells what changed when it is let.
    struct Script {
        history: Mutex<Vec<Changed>>,
        /// How much of the history the feed has been let tell.
        let_tell: watch::Sender<usize>,
        followed: AtomicUsize,
    }

    impl Script {
        fn new() -> Arc<Self> {
            let (let_tell, followed) = (watch::Sender::new(0), AtomicUsize::new(0));
            Arc::new(Self { history: Mutex::default(), let_tell, followed })
        }

        fn change(&self, id: &str, revision: &str) {
            let mut history = lock(&self.history);
            let sequence = Sequence::new((history.len() + 1).to_string());
            history.push(Changed { sequence, id: id.into(), revision: revision.parse().unwrap(), document: None });
        }

        fn tell(&self) {
            self.let_tell.send_replace(lock(&self.history).len());
        }
    }

    fn place(sequence: &Sequence) -> usize {
        sequence.as_str().parse().unwrap()
    }

    #[async_trait]
    impl Store for Script {
        async fn get(&self, _: &DbName, _: &DocId) -> Result<Option<Arc<Document>>> {
            Ok(None)
        }

        async fn put(&self, _: &DbName, _: &Document) -> Result<Revision> {
            Err(Error::Conflict)
        }

        fn batches<'a>(&'a self, _: &'a DbName, _: &'a View, _: Query) -> BoxStream<'a, Result<Vec<Row>>> {
            stream::empty().boxed()
        }

        async fn sequence(&self, _: &DbName) -> Result<Option<Sequence>> {
            Ok(Some(Sequence::new(lock(&self.history).len().to_string())))
        }

        async fn changed(&self, _: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
            let history = lock(&self.history);
            let is_last = |at: usize| history[at + 1..].iter().all(|later| later.id != history[at].id);
            let changed = (place(since)..history.len()).filter(|at| is_last(*at)).map(|at| history[at].clone());
            Ok(Some(changed.take(most).collect()))
        }

        fn follow<'a>(&'a self, _: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
            self.followed.fetch_add(1, Ordering::SeqCst);
            let begun = (place(&since), self.let_tell.subscribe());
            stream::unfold(begun, async |(at, mut let_tell)| {
                loop {
                    let to = *let_tell.borrow_and_update();
                    let changed = lock(&self.history).get(at..to).unwrap_or_default().to_vec();
                    if !changed.is_empty() {
                        return Some((Ok(changed), (to, let_tell)));
                    }
                    // it says that nothing happened where nothing did
                    let is_quiet = timeout(HEARTBEAT, let_tell.changed()).await.is_err();
                    if is_quiet && at == lock(&self.history).len() {
                        return Some((Ok(Vec::new()), (at, let_tell)));
                    }
                }
            })
            .boxed()
        }

        async fn attachment(&self, _: &DbName, _: &DocId, _: &str) -> Result<Option<Bytes>> {
            Ok(None)
        }

        async fn prove_writable(&self) -> Result<()> {
            Ok(())
        }
    }

    fn feeds(script: &Arc<Script>) -> Feeds {
        Feeds::new(Arc::clone(script) as SharedStore, Background::here())
    }

    type Following<'a> = BoxStream<'a, Result<Vec<Changed>>>;

    /// What is given in the next few seconds, as ids and revisions.
    async fn given(following: &mut Following<'_>) -> Vec<String> {
        let mut given = Vec::new();
        while let Ok(Some(batch)) = timeout(Duration::from_secs(3), following.next()).await {
            let batch = batch.unwrap();
            if batch.is_empty() && !given.is_empty() {
                break;
            }
            given.extend(batch.iter().map(|changed| format!("{}@{}", changed.id, changed.revision)));
        }
        given
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_follow_a_database_the_store_is_followed_once() {
        let (script, database) = (Script::new(), DbName::fixed("db"));
        let feeds = feeds(&script);
        let follow = || feeds.follow(&database, Sequence::new("0"));
        let mut all: Vec<Following<'_>> = (0..1_000).map(|_| follow()).collect();
        let first = |batch: Option<Result<Vec<Changed>>>| batch.unwrap().unwrap();
        assert!(join_all(all.iter_mut().map(StreamExt::next)).await.into_iter().all(|batch| first(batch).is_empty()));
        script.change("a", "1-a");
        script.tell();
        for batch in join_all(all.iter_mut().map(StreamExt::next)).await {
            assert_eq!(first(batch).len(), 1);
        }
        assert_eq!((script.followed.load(Ordering::SeqCst), feeds.number.get()), (1, 1));
        // who was cut off for a moment comes back to the same
        drop(all);
        sleep(Duration::from_secs(2)).await;
        drop(follow());
        assert_eq!((script.followed.load(Ordering::SeqCst), feeds.number.get()), (1, 1));
        sleep(LINGER + 3 * HEARTBEAT).await;
        assert_eq!(feeds.number.get(), 0);
        assert_eq!(given(&mut follow()).await, ["a@1-a"]);
        assert_eq!(script.followed.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_is_behind_gives_nothing_twice() {
        let (script, database) = (Script::new(), DbName::fixed("db"));
        let feeds = feeds(&script);
        script.change("a", "1-a");
        let follow = |since: &str| feeds.follow(&database, Sequence::new(since));
        let mut first = follow("1");
        assert!(first.next().await.unwrap().unwrap().is_empty());
        script.change("a", "2-a");
        script.change("b", "1-a");
        // one was told of the first alone, and one knows of both
        let (mut second, mut third) = (follow("1"), follow("3"));
        let past = second.next().await.unwrap().unwrap();
        assert_eq!(past.iter().map(|changed| &*changed.id).collect::<Vec<_>>(), ["a", "b"]);
        assert!(timeout(Duration::from_secs(20), third.next()).await.is_err());
        script.change("a", "3-a");
        script.tell();
        assert_eq!(given(&mut first).await, ["a@2-a", "b@1-a", "a@3-a"]);
        assert_eq!(given(&mut second).await, ["a@3-a"]);
        assert_eq!(given(&mut third).await, ["a@3-a"]);
        assert_eq!(script.followed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_while_the_past_was_read_says_nothing_of_what_came_then() {
        let (script, database) = (Script::new(), DbName::fixed("db"));
        let feeds = feeds(&script);
        script.change("a", "1-a");
        let mut follower = feeds.follow(&database, Sequence::new("0"));
        assert_eq!(follower.next().await.unwrap().unwrap().len(), 1);
        // it takes its time; the feed says several times that nothing happened, and then is behind
        sleep(5 * HEARTBEAT).await;
        script.change("b", "1-a");
        assert_eq!(&*follower.next().await.unwrap().unwrap()[0].id, "b");
        script.change("c", "1-a");
        script.tell();
        assert_eq!(given(&mut follower).await, ["c@1-a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_slow_begins_again_where_it_was() {
        let (script, database) = (Script::new(), DbName::fixed("db"));
        let feeds = feeds(&script);
        let mut slow = feeds.follow(&database, Sequence::new("0"));
        assert!(slow.next().await.unwrap().unwrap().is_empty());
        for number in 0..2 * WAITING {
            script.change(&number.to_string(), "1-a");
            script.tell();
            sleep(Duration::from_millis(1)).await;
        }
        assert!(matches!(slow.next().await, Some(Err(Error::Busy(_)))));
        assert!(slow.next().await.is_none());
        let mut again = feeds.follow(&database, Sequence::new("0"));
        assert_eq!(given(&mut again).await.len(), 2 * WAITING);
    }
}
