//! Guessing is slow, signing in is not: what is limited is failing to sign in.
//!
//! Failures are counted, and cost growing pauses (429),
//! - of a client's network (an IPv4 address, an IPv6 /64) at one account, and
//! - of it at all accounts together, and of the site around it (an IPv6 /48).
//!
//! Failures at one account from anywhere are counted too. They cost no pause, which would lock its people out: while
//! there are many, attempts from networks that the account does not know are taken one by one, at a growing distance,
//! and wait for their turn.
//!
//! A network that somebody has signed in from knows the account: there only failures at this account from this very
//! network count. So nobody elsewhere holds up an account's people where they are used to sign in; somewhere new they
//! wait, for [`LONGEST_TURN`](pauses::LONGEST_TURN) at the most.
//!
//! An account is what a sign-in names ([`Door`]), whether it exists or not, so none of this tells of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::{self, Door, Network};

use super::pauses::{Failures, Rule, Turns};

/// A client's network at an account that does not know it, and at one that does.
const AT_ACCOUNT: Rule =
    Rule { free: 2, longest: MINUTE.saturating_mul(15), forgiven_after: MINUTE.saturating_mul(15) };
const AT_KNOWN: Rule = Rule { free: 5, longest: Duration::from_secs(30), forgiven_after: MINUTE };

/// A client's network, and a site, at whatever accounts.
const OF_CLIENT: Rule = Rule { free: 10, longest: MINUTE.saturating_mul(15), forgiven_after: MINUTE };
const OF_SITE: Rule = Rule { free: 100, longest: MINUTE.saturating_mul(15), forgiven_after: Duration::from_secs(10) };

/// An account, whoever fails there: from `free` on it is under attack. There is no pause.
const OF_ACCOUNT: Rule = Rule { free: 5, longest: Duration::ZERO, forgiven_after: MINUTE };

const MINUTE: Duration = Duration::from_secs(60);

/// How many attempts are decided at the same time: of one who is held to a rule while failures are free, and at an
/// account from networks that it does not know. Beyond, one by one.
const AT_ONCE: u32 = 8;

/// How many attempts wait for their turn, at all accounts together.
const WAITING: usize = 100;

/// How many of each kind are remembered, and for how long after they were last seen.
const REMEMBERED: u64 = 20_000;
const REMEMBERED_FOR: Duration = MINUTE.saturating_mul(120);
const KNOWN_FOR: Duration = MINUTE.saturating_mul(60 * 24 * 30);

/// A client, as far as it can be told from others; None where not even its address is known.
type Client = Option<Network>;

/// What is remembered of failures.
pub struct Guesses {
    at_account: Cache<(Client, Door), Arc<Held>>,
    of_network: Cache<Client, Arc<Held>>,
    of_account: Cache<Door, Arc<Account>>,
    /// Which networks an account knows.
    known: Cache<(Client, Door), ()>,
    waiting: Arc<Semaphore>,
}

impl Guesses {
    /// Nobody has failed yet.
    pub fn new() -> Self {
        fn cache<K, V>(time_to_idle: Duration) -> Cache<K, V>
        where
            K: std::hash::Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            Cache::builder().max_capacity(REMEMBERED).time_to_idle(time_to_idle).build()
        }
        Self {
            at_account: cache(REMEMBERED_FOR),
            of_network: cache(REMEMBERED_FOR),
            of_account: cache(REMEMBERED_FOR),
            known: cache(KNOWN_FOR),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Lets a client try to open doors, when it is its turn.
    ///
    /// Errors: it must wait so long, and ask again.
    pub async fn attempt(&self, client: Client, doors: Vec<Door>) -> Result<Attempt<'_>, Duration> {
        let is_known = |door: &Door| self.known.get(&(client, *door)).is_some();
        let (known, unknown): (Vec<Door>, Vec<Door>) = doors.into_iter().partition(is_known);
        let now = Instant::now();
        let new = || Arc::new(Held::new(now));
        let at = |door: &Door| self.at_account.get_with((client, *door), new);
        let mut held: Vec<(Arc<Held>, Rule)> = known.iter().map(|door| (at(door), AT_KNOWN)).collect();
        held.extend(unknown.iter().map(|door| (at(door), AT_ACCOUNT)));
        // whoever names nothing that is known here is held to all that the network does
        if known.is_empty() {
            let site = client.and_then(Network::site);
            held.push((self.of_network.get_with(client, new), OF_CLIENT));
            held.extend(site.map(|site| (self.of_network.get_with(Some(site), new), OF_SITE)));
        }
        not_paused(&held)?;
        let mut accounts = Vec::with_capacity(unknown.len());
        for door in unknown {
            let account = self.of_account.get_with(door, || Arc::new(Account::new(now)));
            accounts.push(self.enter(account, client.map(Network::region)).await?);
        }
        let mut decided = Vec::with_capacity(held.len());
        for (held, rule) in held {
            decided.push(Decided::when_it_may(held, rule).await?);
        }
        Ok(Attempt { guesses: self, client, decided, accounts })
    }

    /// Lets anybody try anything.
    pub fn unlimited(&self, client: Client) -> Attempt<'_> {
        Attempt { guesses: self, client, decided: Vec::new(), accounts: Vec::new() }
    }

    /// Waits until an attempt at an account may be decided: at once, or when it is its turn.
    async fn enter(&self, account: Arc<Account>, region: Option<Network>) -> Result<Entered, Duration> {
        let deciding = permits(&account.deciding, 1).await;
        let Some(wait) = lock(&account.tried).wait(region, Instant::now())? else {
            return Ok(Entered { account, _deciding: Some(deciding) });
        };
        drop(deciding);
        let _waiting = self.waiting.try_acquire().map_err(|_| wait.max(Duration::from_secs(1)))?;
        tokio::time::sleep(wait).await;
        Ok(Entered { account, _deciding: None })
    }
}

/// An attempt that may be made. What comes of it is to be told; one that nothing is told of counts for nothing.
pub struct Attempt<'g> {
    guesses: &'g Guesses,
    client: Client,
    decided: Vec<Decided>,
    accounts: Vec<Entered>,
}

impl Attempt<'_> {
    /// The client opened this door, if there is one that others might guess at: the account knows it from now on. What
    /// failed before is not forgotten: whoever has a password of their own could guess at others' for ever.
    pub fn succeeded(self, door: Option<Door>) {
        if let Some(door) = door {
            self.guesses.known.insert((self.client, door), ());
        }
    }

    /// The client was refused: that counts if it guessed wrong.
    pub fn refused(self, error: &auth::Error) {
        if error.is_failure() {
            let now = Instant::now();
            for decided in &self.decided {
                lock(&decided.held.failures).add(&decided.rule, now);
            }
            for entered in &self.accounts {
                lock(&entered.account.tried).failures.add(&OF_ACCOUNT, now);
            }
        }
    }
}

/// Who is held to a rule.
struct Held {
    failures: Mutex<Failures>,
    deciding: Arc<Semaphore>,
}

impl Held {
    fn new(now: Instant) -> Self {
        Self { failures: Mutex::new(Failures::none(now)), deciding: Arc::new(Semaphore::new(AT_ONCE as usize)) }
    }

    fn is_free(&self, rule: &Rule) -> bool {
        lock(&self.failures).number(rule, Instant::now()) < rule.free
    }
}

/// An attempt of one who is held to a rule, until it is decided.
struct Decided {
    held: Arc<Held>,
    rule: Rule,
    _deciding: OwnedSemaphorePermit,
}

impl Decided {
    /// Waits until an attempt may be decided.
    ///
    /// Errors: there is a pause.
    async fn when_it_may(held: Arc<Held>, rule: Rule) -> Result<Self, Duration> {
        let share = if held.is_free(&rule) { 1 } else { AT_ONCE };
        let deciding = permits(&held.deciding, share).await;
        not_paused(&[(Arc::clone(&held), rule)])?;
        Ok(Self { held, rule, _deciding: deciding })
    }
}

async fn permits(of: &Arc<Semaphore>, number: u32) -> OwnedSemaphorePermit {
    let permits = Arc::clone(of).acquire_many_owned(number).await;
    permits.unwrap_or_else(|_| unreachable!("nobody closes the semaphore"))
}

/// Nobody of them has a pause now, or so long do they.
fn not_paused(held: &[(Arc<Held>, Rule)]) -> Result<(), Duration> {
    let now = Instant::now();
    let wait = held.iter().map(|(held, rule)| lock(&held.failures).wait(rule, now)).max().unwrap_or_default();
    if wait.is_zero() { Ok(()) } else { Err(wait) }
}

/// An account, and what is tried there from networks that it does not know.
struct Account {
    tried: Mutex<Tried>,
    deciding: Arc<Semaphore>,
}

struct Tried {
    failures: Failures,
    turns: Turns,
}

impl Account {
    fn new(now: Instant) -> Self {
        let tried = Tried { failures: Failures::none(now), turns: Turns::default() };
        Self { tried: Mutex::new(tried), deciding: Arc::new(Semaphore::new(AT_ONCE as usize)) }
    }
}

impl Tried {
    /// How long it is until the turn of an attempt from a region; None where there is no attack, and so are no turns.
    ///
    /// Errors: too many wait.
    fn wait(&mut self, region: Option<Network>, now: Instant) -> Result<Option<Duration>, Duration> {
        match self.failures.number(&OF_ACCOUNT, now).checked_sub(OF_ACCOUNT.free) {
            None => Ok(None),
            Some(beyond) => self.turns.take(region, beyond, now).map(Some),
        }
    }
}

/// An attempt at an account, until it is decided.
struct Entered {
    account: Arc<Account>,
    _deciding: Option<OwnedSemaphorePermit>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
