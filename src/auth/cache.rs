//! Where what was read is remembered for a few seconds, what is not there too; and how it is read anew: each at a pace,
//! all within a budget.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, NotUntil, Quota, RateLimiter};
use moka::future::Cache;
use tokio::sync::Mutex;

use crate::metrics::{CacheLookups, Metrics};

use super::error::Error;

/// How many documents of a kind are remembered.
pub(super) const REMEMBERED: u64 = 10_000;

/// How long after it was read one document is read anew at the earliest.
const PACE: Duration = Duration::from_millis(50);

/// How many documents are read anew a second, of those that were there and of those that were not: somebody who asks
/// for what is not there does not use up the reads of those who change what is.
const READ_ANEW: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// How many documents may be read anew.
pub(super) struct Budget {
    of_present: DefaultDirectRateLimiter,
    of_absent: Option<DefaultDirectRateLimiter>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { of_present: limiter(), of_absent: Some(limiter()) }
    }

    /// The budget of what clients name: to look for what is not there they have allowances ([`super::names`]).
    pub(super) fn of_names() -> Self {
        Self { of_present: limiter(), of_absent: None }
    }

    fn spend(&self, was_there: bool) -> Result<(), Error> {
        let limiter = if was_there { Some(&self.of_present) } else { self.of_absent.as_ref() };
        let wait = |not_until: NotUntil<_>| Error::Busy(not_until.wait_time_from(DefaultClock::default().now()));
        limiter.map_or(Ok(()), |limiter| limiter.check().map_err(wait))
    }
}

fn limiter() -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_second(READ_ANEW))
}

/// What was read, and when that began.
pub(super) struct Kept<T> {
    pub(super) value: Option<Arc<T>>,
    pub(super) read_at: Instant,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), read_at: self.read_at }
    }
}

/// The documents of one kind: those that are remembered, and the others as they are read.
pub(super) struct ReadThrough<K, T> {
    kept: Cache<K, Kept<T>>,
    /// Who reads a document anew; others who want it wait for what they read.
    reading: Cache<K, Arc<Mutex<()>>>,
    lookups: CacheLookups,
    budget: Arc<Budget>,
    changes: Changes,
}

/// How often something that may be remembered was read anew or forgotten, before its time.
#[derive(Clone, Default)]
pub(super) struct Changes(Arc<AtomicU64>);

impl Changes {
    /// What is the same as long as nothing was.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn happened(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl<K, T> ReadThrough<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    /// A cache of documents that `kind` is a name for, which are remembered for `remembered`.
    pub(super) fn new(
        kind: &'static str,
        remembered: Duration,
        metrics: &Metrics,
        budget: &Arc<Budget>,
        changes: &Changes,
    ) -> Self {
        Self {
            kept: Cache::builder().max_capacity(REMEMBERED).time_to_live(remembered).build(),
            reading: Cache::builder().max_capacity(REMEMBERED).time_to_idle(PACE * 20).build(),
            lookups: metrics.cache_lookups(kind),
            budget: Arc::clone(budget),
            changes: changes.clone(),
        }
    }

    /// What is remembered, or else what is read. Who asks for the same at the same time shares one read; a fault is
    /// shared too, but not remembered.
    ///
    /// Errors: those of `read`.
    pub(super) async fn get<R>(&self, key: K, read: impl FnOnce() -> R) -> Result<Kept<T>, Error>
    where
        R: Future<Output = Result<Option<T>, Error>>,
    {
        let found = self.kept.entry(key).or_try_insert_with(kept(read)).await;
        match &found {
            Ok(entry) if !entry.is_fresh() => self.lookups.hits.inc(),
            _ => self.lookups.misses.inc(),
        }
        found.map(moka::Entry::into_value).map_err(|error| Error::clone(&error))
    }

    /// What was read at `since` or later: by somebody else, or now.
    ///
    /// Errors: [`Error::Busy`] where there are too many reads of this kind, or those of `read`.
    pub(super) async fn get_since<R>(&self, key: K, since: Instant, read: impl FnOnce() -> R) -> Result<Kept<T>, Error>
    where
        R: Future<Output = Result<Option<T>, Error>>,
    {
        let reading = self.reading.get_with_by_ref(&key, async { Arc::default() }).await;
        let _reading = reading.lock().await;
        let known = self.kept.get(&key).await;
        if let Some(known) = &known {
            if known.read_at >= since {
                return Ok(known.clone());
            }
            tokio::time::sleep(PACE.saturating_sub(known.read_at.elapsed())).await;
        }
        self.budget.spend(known.is_some_and(|known| known.value.is_some()))?;
        self.lookups.misses.inc();
        let kept = kept(read).await?;
        self.kept.insert(key, kept.clone()).await;
        self.changes.happened();
        Ok(kept)
    }

    /// What is remembered to be there, or else what is read: that nothing is there is not remembered.
    ///
    /// Errors: those of `read`.
    pub(super) async fn find<R>(&self, key: K, read: impl FnOnce() -> R) -> Result<Option<Arc<T>>, Error>
    where
        R: Future<Output = Result<Option<T>, Error>>,
    {
        if let Some(Kept { value: Some(value), .. }) = self.kept.get(&key).await {
            self.lookups.hits.inc();
            return Ok(Some(value));
        }
        self.lookups.misses.inc();
        let kept = kept(read).await?;
        if kept.value.is_some() {
            self.kept.insert(key, kept.clone()).await;
        }
        Ok(kept.value)
    }

    /// Forgets what was just written.
    pub(super) async fn forget(&self, key: &K) {
        self.kept.invalidate(key).await;
        self.changes.happened();
    }
}

async fn kept<T, R>(read: impl FnOnce() -> R) -> Result<Kept<T>, Error>
where
    R: Future<Output = Result<Option<T>, Error>>,
{
    let read_at = Instant::now();
    Ok(Kept { value: read().await?.map(Arc::new), read_at })
}
