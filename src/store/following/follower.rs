//! Who loads a database, and holds what is kept of it true by its feed of changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{StreamExt, TryStreamExt};
use moka::sync::Cache;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::document::DbName;
use crate::metrics::made;

use super::super::mapping::{Mapped, Mapping};
use super::super::ready::{Change, Database, Held, Ready};
use super::super::{Changed, Error, Query, Result, Sequence, SharedStore, View};

/// How long a database is not tried again after its feed broke, and at the most one that can't be kept, each time longer by
/// this factor.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
const LONGER: u32 = 4;

/// How often it is seen whether the feed of a database that somebody asks for tells what there is; and how long that may take.
const CHECK: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(1);

/// How many databases are remembered that are not tried again.
const PAUSING: u64 = 100_000;

/// How many databases are followed at the most: each costs a CouchDB a connection.
const MOST: usize = 1_000;

/// How many are loaded at a time.
const LOADS: usize = 4;

/// How many documents may be written while a database is loaded.
const MOST_DOUBTFUL: usize = 1_000;

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

/// Who loads databases and holds them true.
pub(super) struct Follower {
    pub(super) store: SharedStore,
    pub(super) ready: Ready,
    pub(super) mapping: Arc<Mapping>,
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
    /// Errors: never, as long as the collation's data are part of this program.
    pub(super) fn new(store: SharedStore, views: &'static [View], memory: usize) -> Result<Self> {
        let mapping = Arc::new(Mapping::new(views)?);
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
        Ok(Self {
            ready: Ready::new(Arc::clone(&mapping), memory, memory / MOST),
            store,
            mapping,
            pausing: Cache::builder().max_capacity(PAUSING).time_to_live(2 * LONGEST_PAUSE).build(),
            loads: Semaphore::new(LOADS),
            counts,
        })
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.counts.followed.clone()), Box::new(self.counts.lost.clone())]
    }

    /// Whether a database is not to be tried again yet.
    pub(super) fn leaves_alone(&self, name: &DbName) -> bool {
        self.pausing.get(name).is_some_and(|pause| Instant::now() < pause.until)
    }

    /// Loads a database and holds it true, for as long as that can be done and somebody asks for it.
    pub(super) async fn hold(&self, name: &DbName, database: &Arc<Database>) {
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
                let rows = Arc::new(document.as_ref().map(|of| self.mapping.map(name, of)).unwrap_or_default());
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
