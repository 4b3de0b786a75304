//! One who follows a database: what changed before the feed was joined, and then what the feed gives, nothing of it twice.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use crate::document::{DbName, Revision};

use super::super::{Changed, Error, Result, Sequence, SharedStore};
use super::Joined;

/// How many changes of before are read at a time.
const AT_ONCE: usize = 200;

/// Who follows: first what changed before the feed was joined, then what the feed gives.
pub(super) struct Follower<'s> {
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

impl<'s> Follower<'s> {
    /// Who follows a database of `store` from a place of its history on, by a feed that is joined.
    pub(super) fn new(store: &'s SharedStore, database: &'s DbName, joined: Joined, since: Sequence) -> Self {
        Self { store, database, joined, since: Some(since), given: HashMap::new(), before: 0, quiet: 0 }
    }

    /// What is given, batch by batch, until something fails.
    pub(super) fn changes(self) -> BoxStream<'s, Result<Vec<Changed>>> {
        stream::try_unfold(self, async |mut follower| Ok(Some((follower.next().await?, follower)))).boxed()
    }

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
