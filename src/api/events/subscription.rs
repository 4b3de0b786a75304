//! One who listens to a list: its rows, what happened while nobody listened, and what happens.

use std::sync::LazyLock;
use std::time::Duration;

use actix_web::web;
use bytes::Bytes;
use futures::stream::{StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::auth::Credentials;
use crate::document::{DbName, Document};
use crate::in_flight::SMALL;
use crate::kazoo::account::AccountId;
use crate::store::{self, Changed, Query, Sequence};

use super::super::context::Api;
use super::super::incoming::Incoming;
use super::super::list::{BATCHES, WEIGHT_OF_DOCUMENTS};
use super::super::path::Path;
use super::told::{Scope, Shown, data, event};

/// How long nothing is said at the most, so that no proxy takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);

/// How often it is looked whether the client still may listen, at the most and at the least.
const CHECKS: [Duration; 2] = [Duration::from_secs(1), QUIET];

/// After how many milliseconds a client that was cut off is to come back.
const RETRY: &str = "retry: 2000\n\n";

/// From how many bytes on a piece is sent.
const PIECE: usize = 16 * 1024;

/// How long it is waited where there is too much to be told at once.
const PAUSE: Duration = Duration::from_millis(100);

/// How many batches of rows all who listen hold, while they are read and, if they are large, until the clients took them.
static HELD: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(16));

/// As how many batches one counts that comes with its documents.
const WEIGHT_OF_CHANGES: u32 = 4;

/// How many rows of the list are read at a time: they wait for the client that they are told.
const ROWS_AT_ONCE: usize = 200;

/// How many changes of before are read at a time.
const AT_ONCE: usize = 200;

/// Why nothing more is told.
pub enum Ended {
    /// Nobody takes it.
    Unheard,
    /// There is more to be told than the client takes at once: what happened since has to be read again.
    Behind,
    /// The store fails.
    Fault(store::Error),
}

impl From<store::Error> for Ended {
    fn from(error: store::Error) -> Self {
        Self::Fault(error)
    }
}

/// One who listens to a list.
pub struct Subscription {
    pub api: web::Data<Api>,
    pub incoming: Incoming,
    pub credentials: Credentials,
    /// When the token ends, in seconds since 1970, if it does.
    pub ends: Option<i64>,
    pub path: Path,
    pub account: AccountId,
    pub scope: Scope,
    /// Where it was cut off.
    pub last: Option<Sequence>,
    pub out: mpsc::Sender<Bytes>,
}

impl Subscription {
    /// Tells what there is and what happens, until nothing more is told; says to the client why, if it can be.
    pub async fn tell(&self) -> Result<(), Ended> {
        tokio::select! {
            told = self.tell_all() => {
                match &told {
                    Err(Ended::Fault(store::Error::MissingDatabase(_))) => self.end("gone"),
                    Err(Ended::Fault(_)) => self.end("unavailable"),
                    Ok(()) | Err(Ended::Unheard | Ended::Behind) => {}
                }
                told
            }
            reason = self.until_it_may_not() => {
                self.end(reason);
                Ok(())
            }
            () = self.out.closed() => Err(Ended::Unheard),
        }
    }

    /// Says why nothing more is told. Who takes nothing need not know, and is not waited for.
    fn end(&self, reason: &str) {
        let _ = self.out.try_send(event("end", None, &format!(r#"{{"reason":"{reason}"}}"#)).into());
    }

    /// Ends when the client may not listen any longer, or nobody may; gives why. An end is not held up by a check.
    async fn until_it_may_not(&self) -> &'static str {
        tokio::select! {
            () = self.until_it_is_refused() => "unauthorized",
            () = self.until_the_token_ends() => "unauthorized",
            () = self.api.listeners.ending.cancelled() => "stopping",
        }
    }

    async fn until_it_is_refused(&self) {
        let [least, most] = CHECKS;
        let every = self.api.auth.remembers_for().clamp(least, most);
        loop {
            sleep(every).await;
            if !self
                .api
                .still_may(&self.incoming, &self.credentials, &self.path, self.account, self.scope.user.as_deref())
                .await
            {
                return;
            }
        }
    }

    async fn until_the_token_ends(&self) {
        match self.ends {
            Some(ends) => {
                let left = ends.saturating_sub(self.api.world.unix_seconds());
                sleep(Duration::from_secs(u64::try_from(left).unwrap_or_default())).await;
            }
            None => std::future::pending().await,
        }
    }

    async fn tell_all(&self) -> Result<(), Ended> {
        self.say(RETRY.to_owned()).await?;
        let database = self.account.database();
        let known = match &self.last {
            Some(last) => self.api.listeners.source.changed(&database, last, 1).await?.and(Some(last)),
            None => None,
        };
        let now = self.api.listeners.source.sequence(&database).await?;
        let now = now.ok_or_else(|| store::Error::MissingDatabase(database.clone()))?;
        let mut shown = Shown::default();
        shown.is_past = known.is_some();
        self.show(&mut shown).await?;
        let mut since = now;
        if let Some(known) = known {
            since = known.clone();
            self.catch_up(&database, &mut shown, &mut since).await?;
            shown.is_past = false;
        }
        self.say(event("live", Some(&since), &format!(r#"{{"rows":{}}}"#, shown.len()))).await?;
        loop {
            match self.follow(&database, &mut shown, &mut since).await {
                // what comes faster than it is taken is read again, each document once
                Err(Ended::Fault(store::Error::Busy(_))) => sleep(PAUSE).await,
                Err(Ended::Behind) => self.catch_up(&database, &mut shown, &mut since).await?,
                ended => return ended,
            }
        }
    }

    /// Tells what changed after a place, which is moved along, until nothing more did.
    async fn catch_up(&self, database: &DbName, shown: &mut Shown, since: &mut Sequence) -> Result<(), Ended> {
        loop {
            let held = HELD.acquire_many(WEIGHT_OF_CHANGES).await;
            let past = self.api.listeners.source.changed(database, since, AT_ONCE).await?;
            // what is made anew knows no place of before
            let past = past.ok_or_else(|| store::Error::MissingDatabase(database.clone()))?;
            let Some(last) = past.last() else { return Ok(()) };
            *since = last.sequence.clone();
            let held = (bytes(&past) > SMALL).then_some(held);
            self.say_all(past.iter().filter_map(|changed| shown.told(&self.scope, changed))).await?;
            drop(held);
        }
    }

    /// Tells what changes after a place, which is moved along.
    async fn follow(&self, database: &DbName, shown: &mut Shown, since: &mut Sequence) -> Result<(), Ended> {
        let mut changes = self.api.listeners.source.follow(database, since.clone());
        let mut said = Instant::now();
        let ended = || store::Error::Unreachable("nothing tells of changes any longer".to_owned());
        loop {
            let changed = match timeout_at(said + QUIET, changes.next()).await {
                Ok(changed) => changed.ok_or_else(ended)??,
                Err(_) => {
                    // who comes back need not be told again what was none of the list
                    self.say(format!(": \nid: {since}\n\n")).await?;
                    said = Instant::now();
                    continue;
                }
            };
            // nothing that others are told waits for who is slow, and nobody holds much for him
            if bytes(&changed) > SMALL || !changed.is_empty() && self.out.capacity() == 0 {
                return Err(Ended::Behind);
            }
            let told: String = changed.iter().filter_map(|changed| shown.told(&self.scope, changed)).collect();
            if !told.is_empty() {
                self.say(told).await?;
                said = Instant::now();
            }
            if let Some(last) = changed.into_iter().last() {
                *since = last.sequence;
            }
        }
    }

    /// Shows the rows of the list as they are; of one who was cut off it is only known which they are. They have no place to
    /// go on from: who is cut off among them has not seen them all, and begins again.
    async fn show(&self, shown: &mut Shown) -> Result<(), Ended> {
        let Scope { kind, user, filter } = &self.scope;
        let (view, query) = match user {
            None => (kind.listing, Query::all()),
            Some(user) => (kind.listing_by_user, Query::of_key(user)),
        };
        let query = query.descending().batch(ROWS_AT_ONCE);
        let (query, weight) =
            if filter.is_empty() { (query, 1) } else { (query.with_documents(), WEIGHT_OF_DOCUMENTS) };
        let database = self.account.database();
        let mut batches = self.api.listeners.source.batches(&database, &view, query);
        loop {
            let held = HELD.acquire().await;
            let place = BATCHES.acquire_many(weight).await;
            let Some(rows) = batches.try_next().await? else { return Ok(()) };
            let mut told = Vec::new();
            for row in rows {
                let passes = |document: Option<&Document>| document.is_some_and(|document| filter.accepts(document));
                if !filter.is_empty() && !passes(row.document.as_deref()) {
                    continue;
                }
                if !shown.is_past {
                    told.push(event("listed", None, &data(&row.value, None)));
                }
                shown.add(row.id);
            }
            // the client may take its time
            drop(place);
            let held = (told.iter().map(String::len).sum::<usize>() > SMALL).then_some(held);
            self.say_all(told.into_iter()).await?;
            drop(held);
        }
    }

    /// Says texts in pieces that are not much longer than need be.
    async fn say_all(&self, texts: impl Iterator<Item = String>) -> Result<(), Ended> {
        let said = async {
            let mut piece = String::new();
            for text in texts {
                piece.push_str(&text);
                if piece.len() >= PIECE {
                    self.say(std::mem::take(&mut piece)).await?;
                }
            }
            self.say(piece).await
        };
        // who is so slow might as well take nothing
        let patience = 2 * self.api.budgets.send_time_out;
        timeout(patience, said).await.unwrap_or(Err(Ended::Unheard))
    }

    async fn say(&self, text: String) -> Result<(), Ended> {
        if text.is_empty() {
            return Ok(());
        }
        self.out.send(text.into()).await.map_err(|_| Ended::Unheard)
    }
}

fn bytes(changed: &[Changed]) -> usize {
    changed.iter().map(Changed::bytes).sum()
}
