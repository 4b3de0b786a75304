//! What is remembered of the store's documents for a few seconds, what is not there too.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use tokio::sync::Mutex;

use crate::document::DocId;
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::restrictions::Restrictions;
use crate::kazoo::sign_in;
use crate::kazoo::token::SigningKey;
use crate::metrics::Metrics;
use crate::store::{self, SharedStore};

use super::documents::{Owner, System};
use super::error::Error;
use super::identity::Verified;
use super::profile::Ui;

/// How many documents of each kind, and tokens, are remembered.
const REMEMBERED: u64 = 10_000;

/// How long after it was read one document is read anew at the earliest.
const PACE: Duration = Duration::from_millis(50);

/// How many documents are read anew a second, of those that were there and of those that were not: somebody who makes
/// names up does not use up the reads of those who change what is there.
const READ_ANEW: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// The shelves, one for each kind of document.
pub(super) struct Memory {
    pub(super) store: SharedStore,
    pub(super) keys: Shelf<DocId, SigningKey>,
    pub(super) accounts: Shelf<AccountId, Account>,
    pub(super) owners: Shelf<(AccountId, DocId), Owner>,
    pub(super) restrictions: Shelf<AccountId, Restrictions>,
    pub(super) sign_in: Shelf<AccountId, sign_in::Config>,
    pub(super) basic: Shelf<[u8; 32], (AccountId, DocId)>,
    pub(super) system: Shelf<(), System>,
    pub(super) ui: Shelf<(), Ui>,
    /// Tokens by their digests, never the tokens themselves.
    pub(super) verified: Cache<[u8; 32], Verified>,
}

impl Memory {
    pub(super) fn new(store: SharedStore, metrics: Metrics, remembered: Duration) -> Self {
        let budget = Arc::new(Budget::new());
        Self {
            store,
            keys: Shelf::new("key", remembered, &metrics, &budget),
            accounts: Shelf::new("account", remembered, &metrics, &budget),
            owners: Shelf::new("owner", remembered, &metrics, &budget),
            restrictions: Shelf::new("restrictions", remembered, &metrics, &budget),
            sign_in: Shelf::new("sign_in", remembered, &metrics, &budget),
            basic: Shelf::new("basic", remembered, &metrics, &budget),
            system: Shelf::new("config", remembered, &metrics, &budget),
            ui: Shelf::new("ui", remembered, &metrics, &budget),
            verified: Cache::new(REMEMBERED),
        }
    }
}

/// How many documents may be read anew.
struct Budget {
    of_present: DefaultDirectRateLimiter,
    of_absent: DefaultDirectRateLimiter,
}

impl Budget {
    fn new() -> Self {
        let limiter = || RateLimiter::direct(Quota::per_second(READ_ANEW));
        Self { of_present: limiter(), of_absent: limiter() }
    }

    fn spend(&self, was_there: bool) -> Result<(), Error> {
        let limiter = if was_there { &self.of_present } else { &self.of_absent };
        limiter.check().map_err(|_| Error::Busy)
    }
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

/// The documents of one kind.
pub(super) struct Shelf<K, T> {
    kind: &'static str,
    kept: Cache<K, Kept<T>>,
    /// Who reads a document anew; others who want it wait for what they read.
    reading: Cache<K, Arc<Mutex<()>>>,
    metrics: Metrics,
    budget: Arc<Budget>,
}

impl<K, T> Shelf<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    fn new(kind: &'static str, remembered: Duration, metrics: &Metrics, budget: &Arc<Budget>) -> Self {
        Self {
            kind,
            kept: Cache::builder().max_capacity(REMEMBERED).time_to_live(remembered).build(),
            reading: Cache::builder().max_capacity(REMEMBERED).time_to_idle(PACE * 20).build(),
            metrics: metrics.clone(),
            budget: Arc::clone(budget),
        }
    }

    /// What is remembered, or else what is read. Who asks for the same at the same time shares one read; a fault is
    /// shared too, but not remembered.
    pub(super) async fn get<R>(&self, key: K, read: impl FnOnce() -> R) -> Result<Kept<T>, Error>
    where
        R: Future<Output = store::Result<Option<T>>>,
    {
        let found = self.kept.entry(key).or_try_insert_with(kept(read)).await;
        self.metrics.cache_lookup(self.kind, found.as_ref().is_ok_and(|entry| !entry.is_fresh()));
        found.map(moka::Entry::into_value).map_err(|error| Error::Store(store::Error::clone(&error)))
    }

    /// What was read at `since` or later: by somebody else, or now.
    ///
    /// Errors: [`Error::Busy`] where there are too many reads of this kind, or the store fails.
    pub(super) async fn get_since<R>(&self, key: K, since: Instant, read: impl FnOnce() -> R) -> Result<Kept<T>, Error>
    where
        R: Future<Output = store::Result<Option<T>>>,
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
        self.metrics.cache_lookup(self.kind, false);
        let kept = kept(read).await?;
        self.kept.insert(key, kept.clone()).await;
        Ok(kept)
    }

    /// Forgets what was just written.
    pub(super) async fn forget(&self, key: &K) {
        self.kept.invalidate(key).await;
    }
}

async fn kept<T, R>(read: impl FnOnce() -> R) -> store::Result<Kept<T>>
where
    R: Future<Output = store::Result<Option<T>>>,
{
    let read_at = Instant::now();
    Ok(Kept { value: read().await?.map(Arc::new), read_at })
}
