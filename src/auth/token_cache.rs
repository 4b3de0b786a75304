//! Whom tokens speak for, as it was found out: for as long as what that rests on is remembered, and none of it was read
//! anew before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::kazoo::token::Claims;
use crate::metrics::{CacheLookups, Metrics};

use super::cache::{Changes, REMEMBERED};
use super::identity::Identity;

/// Tokens that were recognized, by their digests, never the tokens themselves.
pub(super) struct TokenCache {
    kept: Cache<[u8; 32], Kept>,
    remembered: Duration,
    changes: Changes,
    lookups: CacheLookups,
}

#[derive(Clone)]
struct Kept {
    claims: Arc<Claims>,
    identity: Arc<Identity>,
    /// When the oldest was read of what it rests on.
    read_at: Instant,
    changes: u64,
}

impl TokenCache {
    /// Remembers what rests on what is remembered for so long, and of which `changes` tells.
    pub(super) fn new(remembered: Duration, metrics: &Metrics, changes: Changes) -> Self {
        let kept = Cache::builder().max_capacity(REMEMBERED).time_to_live(remembered).build();
        Self { kept, remembered, changes, lookups: metrics.cache_lookups("token") }
    }

    /// For how long.
    pub(super) fn remembered(&self) -> Duration {
        self.remembered
    }

    /// To be asked before anything is read of what a token rests on.
    pub(super) fn changes(&self) -> u64 {
        self.changes.count()
    }

    /// What a token says, and for whom it speaks.
    pub(super) fn get(&self, fingerprint: &[u8; 32]) -> Option<(Arc<Claims>, Arc<Identity>)> {
        let kept = self.kept.get(fingerprint);
        let kept = kept.filter(|kept| kept.changes == self.changes.count() && kept.read_at.elapsed() < self.remembered);
        let lookups = &self.lookups;
        if kept.is_some() { &lookups.hits } else { &lookups.misses }.inc();
        kept.map(|kept| (kept.claims, kept.identity))
    }

    /// Remembers whom a token speaks for; `changes` is what [`Self::changes`] said before.
    pub(super) fn keep(
        &self,
        fingerprint: [u8; 32],
        claims: &Arc<Claims>,
        identity: &Arc<Identity>,
        read_at: Instant,
        changes: u64,
    ) {
        let (claims, identity) = (Arc::clone(claims), Arc::clone(identity));
        self.kept.insert(fingerprint, Kept { claims, identity, read_at, changes });
    }
}
