//! A CouchDB of which what is asked for most is kept in memory, held true by its feeds of changes.
//!
//! The first who asks for an account's database has it loaded and followed; until it is caught up, and from the moment on
//! at which its feed breaks or is silent, all is asked of the CouchDB. A write of ours is seen at once; others' when the feed
//! tells of them. What the feed tells late never takes the place of what is known to be newer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use moka::sync::Cache;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::background::Background;
use crate::document::{DbName, DocId, Document, Revision};
use crate::metrics::made;

use super::mapping::{Mapped, Mapping};
use super::ready::{Change, Database, Held, Ready};
use super::rows::{BATCH_BYTES, Batch, in_batches};
use super::{Changed, Error, Layer, Query, Result, Row, Sequence, SharedStore, View};

/// How long a database is not tried again after its feed broke, and at the most one that can't be kept, each time longer by
/// this factor.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const LONGER: u32 = 4;

/// How many databases are remembered that are not tried again.
const PAUSING: u64 = 100_000;

/// How many databases are followed at the most: each costs a CouchDB a connection.
const MOST: usize = 1_000;

/// How often it is seen whether the feed of a database that somebody asks for tells what there is; and how long that may take.
const CHECK: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(1);

/// How many are loaded at a time.
const LOADS: usize = 4;

/// How many documents may be written while a database is loaded.
const MOST_DOUBTFUL: usize = 1_000;

/// Keeps what is asked for most of a store that others write too.
pub struct Following {
    follower: Arc<Follower>,
    background: Background,
}

/// How long a database is left alone.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    /// How long it was, where the database can't be kept.
    of_unkept: Duration,
}

struct Counts {
    followed: IntGauge,
    lost: IntCounter,
}

impl Following {
    /// Keeps so many bytes of `store`, whose `views` have these twins; follows it by tasks of `background`.
    ///
    /// Errors: never, as long as the collation's data are part of this program.
    pub fn new(store: SharedStore, views: &'static [View], memory: usize, background: Background) -> Result<Self> {
        let mapping = Arc::new(Mapping::new(views)?);
        // it fails where the name is none
        let counts = Counts {
            followed: made(IntGauge::new(
                "crossbar_databases_followed",
                "Databases that are kept in memory and held true",
            )),
            lost: made(IntCounter::new(
                "crossbar_databases_lost_total",
                "Databases that are no longer held true: their feed broke or was silent, or they can't be kept",
            )),
        };
        let follower = Follower {
            ready: Ready::new(Arc::clone(&mapping), memory, memory / MOST),
            store,
            mapping,
            pausing: Cache::builder().max_capacity(PAUSING).time_to_live(2 * LONGEST_PAUSE).build(),
            loads: Semaphore::new(LOADS),
            counts,
        };
        Ok(Self { follower: Arc::new(follower), background })
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
        let is_left_alone = || self.follower.pausing.get(name).is_some_and(|pause| Instant::now() < pause.until);
        if !is_left_alone() && database.held.begin() {
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
                let rows = self.follower.mapping.map(name, &document);
                let (database, id, document) = (name.clone(), Arc::clone(id), Some(Arc::new(document)));
                self.follower.ready.change(Change { database, id, document, rows });
            }
        });
    }
}

/// Who loads a database and holds it true.
struct Follower {
    store: SharedStore,
    ready: Ready,
    mapping: Arc<Mapping>,
    /// Databases that are left alone.
    pausing: Cache<DbName, Pause>,
    loads: Semaphore,
    counts: Counts,
}

/// Why a database is not held true.
enum Unheld {
    /// It can't be kept: this is why.
    Never(String),
    /// There is nothing in it by which could be told whether it can be.
    Empty,
    /// Something failed.
    Failed(Error),
}

/// Documents of which a view gave another row than its twin, and what it gave.
type Doubtful = HashMap<Arc<str>, String>;

impl From<Error> for Unheld {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Follower {
    async fn hold(&self, name: &DbName, database: &Arc<Database>) {
        let held = Holding { held: &database.held, followed: None };
        let before = self.pausing.get(name).map_or(Duration::ZERO, |pause| pause.of_unkept);
        let (pause, of_unkept) = match self.follow(name, database, held).await {
            // it was left out, since others were asked for more
            Ok(()) => (Duration::ZERO, Duration::ZERO),
            Err(Unheld::Empty) => (PAUSE, Duration::ZERO),
            Err(Unheld::Never(why)) => {
                self.counts.lost.inc();
                let pause = (before * LONGER).clamp(PAUSE, LONGEST_PAUSE);
                log::warn!("{name} is not followed, and not tried for {} s: {why}", pause.as_secs());
                (pause, pause)
            }
            Err(Unheld::Failed(error)) => {
                self.counts.lost.inc();
                log::warn!("{name} is no longer followed: {error}");
                (PAUSE, Duration::ZERO)
            }
        };
        self.pausing.insert(name.clone(), Pause { until: Instant::now() + pause, of_unkept });
        self.ready.leave_out(name, database);
    }

    async fn follow(
        &self,
        name: &DbName,
        database: &Arc<Database>,
        held: Holding<'_>,
    ) -> std::result::Result<(), Unheld> {
        let loading = self.loads.acquire().await;
        let missing = || Error::MissingDatabase(name.clone());
        let since = self.store.sequence(name).await?.ok_or_else(missing)?;
        let doubtful = self.load(name, database).await?;
        drop(loading);
        let reached = watch::Sender::new(since.clone());
        tokio::select! {
            ended = self.hear(name, database, since, doubtful, &reached, held) => ended,
            late = self.check(name, database, reached.subscribe()) => Err(late.into()),
        }
    }

    /// Keeps a database as its feed tells that it is.
    ///
    /// Errors: a doubtful document has not changed; the feed ends.
    async fn hear(
        &self,
        name: &DbName,
        database: &Database,
        since: Sequence,
        mut doubtful: Doubtful,
        reached: &watch::Sender<Sequence>,
        mut held: Holding<'_>,
    ) -> std::result::Result<(), Unheld> {
        let mut feed = self.store.follow(name, since);
        while let Some(changed) = feed.next().await {
            let changed = changed?;
            if database.held.is_over() {
                return Ok(());
            }
            let last = changed.last().map(|last| last.sequence.clone());
            // once it says that there is nothing more, all that changed before is known
            if changed.is_empty() && held.followed.is_none() {
                if let Some(why) = doubtful.into_values().next() {
                    return Err(Unheld::Never(why));
                }
                doubtful = Doubtful::new();
                held.followed = Some(self.counts.followed.clone());
                self.counts.followed.inc();
                database.held.is_caught_up();
            }
            for change in changed {
                let Changed { id, revision, document, .. } = change;
                doubtful.remove(&id);
                let rows = document.as_ref().map(|of| self.mapping.map(name, of)).unwrap_or_default();
                database.own_writes.told(&id, &revision, || {
                    self.ready.change(Change { database: name.clone(), id: Arc::clone(&id), document, rows });
                });
            }
            if let Some(last) = last {
                reached.send_replace(last);
            }
        }
        Err(Error::Unreachable("the feed of changes ended".to_owned()).into())
    }

    /// Sees again and again, as long as somebody asks for a database, that its feed tells what there is: one that speaks may
    /// be behind all the same.
    ///
    /// Gives why it is not to be believed.
    async fn check(&self, name: &DbName, database: &Database, mut reached: watch::Receiver<Sequence>) -> Error {
        loop {
            sleep(CHECK).await;
            if !database.held.was_asked() {
                continue;
            }
            match self.tells(name, &mut reached).await {
                Ok(false) => return Error::TimedOut("its feed does not tell what changed".to_owned()),
                Err(error @ Error::MissingDatabase(_)) => return error,
                // of a fault nothing is concluded
                Ok(true) | Err(_) => {}
            }
        }
    }

    /// Whether a feed tells in time what there is beyond the place that it has reached.
    async fn tells(&self, name: &DbName, reached: &mut watch::Receiver<Sequence>) -> Result<bool> {
        let missing = || Error::MissingDatabase(name.clone());
        let at = reached.borrow_and_update().clone();
        if self.store.sequence(name).await?.ok_or_else(missing)? == at {
            return Ok(true);
        }
        // the same place may have two names
        if self.store.changed(name, &at, 1).await?.ok_or_else(missing)?.is_empty() {
            return Ok(true);
        }
        Ok(timeout(LATE, reached.changed()).await.is_ok())
    }

    /// Loads the rows and their documents; gives the documents of which there are other rows than the twins give. Either they
    /// were just written, which the feed tells, or the views are others.
    ///
    /// Errors: there are too many of these; there are no rows, by which the views could be told; there is not enough room; the
    /// store fails.
    async fn load(&self, name: &DbName, database: &Arc<Database>) -> std::result::Result<Doubtful, Unheld> {
        let loader = self.ready.load(name, database);
        let mut loader = loader.ok_or_else(|| Unheld::Never("it was loaded before".to_owned()))?;
        let mut own: HashMap<Arc<str>, Mapped> = HashMap::new();
        let mut doubtful = Doubtful::new();
        for (number, view) in self.ready.views() {
            // all views are of the same documents, which come once
            let query = if own.is_empty() { Query::all().with_documents() } else { Query::all() };
            let mut batches = self.store.batches(name, &view, query);
            while let Some(rows) = batches.try_next().await? {
                for row in &rows {
                    if let Some(document) = &row.document {
                        own.entry(Arc::clone(&row.id)).or_insert_with(|| self.mapping.map(name, document));
                        loader.keep(&row.id, document);
                    }
                    if !own.get(&row.id).is_some_and(|own| own.has(number, row)) {
                        let View { design, name, .. } = view;
                        let text =
                            format!("{design}/{name} gives another row of {} than this build's view would", row.id);
                        doubtful.insert(Arc::clone(&row.id), format!("{text}: see `crossbar-groups views check`"));
                    }
                }
                if doubtful.len() > MOST_DOUBTFUL {
                    return Err(Unheld::Never(doubtful.into_values().next().unwrap_or_default()));
                }
                if !loader.read(&view, rows) {
                    return Err(Unheld::Never("it is larger than what may be kept (--cache-memory)".to_owned()));
                }
            }
        }
        if own.is_empty() {
            return Err(Unheld::Empty);
        }
        loader.finish();
        Ok(doubtful)
    }
}

/// Holds a database true as long as this is there.
struct Holding<'h> {
    held: &'h Held,
    followed: Option<IntGauge>,
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.held.is_lost();
        if let Some(followed) = &self.followed {
            followed.dec();
        }
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
        let Counts { followed, lost } = &self.follower.counts;
        vec![Box::new(followed.clone()), Box::new(lost.clone())]
    }
}
