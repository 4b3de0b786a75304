//! Names that clients give, of signing keys and accounts: they may be made up, and must not cost a read each.
//!
//! What was once found is known to exist, and is read again whenever that is needed: nobody's made-up names hold it up.
//! To look for what is not known to exist takes an allowance, which is given back where it is found. Who shows a token
//! that is believed has an allowance for its account. Strangers have one for each [`Network`], and one for all of them
//! together: so one who makes names up holds up no other, and all of them together not the store.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

use crate::kazoo::account::AccountId;
use crate::store;

use super::error::Error;
use super::network::Network;

/// How many names are known to exist, and for how long after they were last asked for.
const KNOWN: u64 = 100_000;
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// How many askers' allowances are remembered. Each is whole again long before it is dropped.
const ASKERS: u64 = 20_000;
const ASKERS_FOR: Duration = Duration::from_secs(600);

/// How many names that turn out to be nobody's may be looked for at once, and after how long one more.
const OF_ACCOUNT: Rate = Rate { burst: 100, every: Duration::from_millis(100) };
const OF_STRANGER: Rate = Rate { burst: 20, every: Duration::from_millis(500) };
const OF_STRANGERS: Rate = Rate { burst: 100, every: Duration::from_millis(20) };

/// Who gives a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asker {
    /// Who has shown nothing that is believed, by where it comes from, if that is known.
    Stranger(Option<Network>),
    /// Whose token is believed.
    Account(AccountId),
}

/// The names of one kind that are known to exist.
pub(super) struct Names<K> {
    known: Cache<K, ()>,
    allowances: Arc<Allowances>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Names<K> {
    pub(super) fn new(allowances: &Arc<Allowances>) -> Self {
        let known = Cache::builder().max_capacity(KNOWN).time_to_idle(KNOWN_FOR).build();
        Self { known, allowances: Arc::clone(allowances) }
    }

    /// Takes a name for one that exists.
    pub(super) fn know(&self, name: &K) {
        self.known.insert(name.clone(), ());
    }

    pub(super) fn is_known(&self, name: &K) -> bool {
        self.known.contains_key(name)
    }

    /// Reads what has this name, as `read` does.
    ///
    /// Errors: [`Error::Busy`] where nothing is known to have it and the allowance is used up; the store fails.
    pub(super) async fn read<T>(
        &self,
        name: &K,
        asker: Asker,
        read: impl Future<Output = store::Result<Option<T>>>,
    ) -> Result<Option<T>, Error> {
        let spent = if self.known.get(name).is_some() { Vec::new() } else { self.allowances.spend(asker)? };
        let found = read.await;
        match &found {
            Ok(None) => self.known.invalidate(name),
            Ok(Some(_)) => self.know(name),
            Err(_) => {}
        }
        if !matches!(found, Ok(None)) {
            for allowance in spent {
                lock(&allowance).give_back();
            }
        }
        Ok(found?)
    }
}

/// What everybody may still look for.
pub(super) struct Allowances {
    of: Cache<Asker, Arc<Mutex<Allowance>>>,
    of_strangers: Arc<Mutex<Allowance>>,
}

impl Allowances {
    pub(super) fn new() -> Self {
        Self {
            of: Cache::builder().max_capacity(ASKERS).time_to_idle(ASKERS_FOR).build(),
            of_strangers: Arc::new(Mutex::new(Allowance::whole(OF_STRANGERS, Instant::now()))),
        }
    }

    /// Takes one of each allowance that it is out of; gives those.
    ///
    /// Errors: [`Error::Busy`] with how long it takes until there is one.
    fn spend(&self, asker: Asker) -> Result<Vec<Arc<Mutex<Allowance>>>, Error> {
        let now = Instant::now();
        let (rate, of_all) = match asker {
            Asker::Account(_) => (OF_ACCOUNT, None),
            Asker::Stranger(_) => (OF_STRANGER, Some(&self.of_strangers)),
        };
        let own = self.of.get_with(asker, || Arc::new(Mutex::new(Allowance::whole(rate, now))));
        lock(&own).take(now).map_err(Error::Busy)?;
        if let Some(all) = of_all {
            lock(all).take(now).map_err(|wait| {
                lock(&own).give_back();
                Error::Busy(wait)
            })?;
        }
        Ok([own].into_iter().chain(of_all.cloned()).collect())
    }
}

fn lock(allowance: &Mutex<Allowance>) -> MutexGuard<'_, Allowance> {
    allowance.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many there may be at once, and after how long one more.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// What may be taken at a rate, and given back where it was not needed after all: as a limiter of governor's (GCRA),
/// which takes nothing back.
#[derive(Debug)]
struct Allowance {
    rate: Rate,
    /// When it will be whole again.
    whole_at: Instant,
}

impl Allowance {
    fn whole(rate: Rate, now: Instant) -> Self {
        Self { rate, whole_at: now }
    }

    /// Takes one.
    ///
    /// Errors: there is none; how long it takes until there is.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let taken = self.whole_at.max(now) + self.rate.every;
        let wait = taken.duration_since(now).saturating_sub(self.rate.every * self.rate.burst);
        if wait.is_zero() {
            self.whole_at = taken;
            return Ok(());
        }
        Err(wait)
    }

    fn give_back(&mut self) {
        self.whole_at -= self.rate.every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_more_is_taken_than_the_rate_allows(
            burst in 1_u32..20,
            every_ms in 1_u64..200,
            steps in prop::collection::vec((0_u64..100, any::<bool>()), 1..200),
        ) {
            let rate = Rate { burst, every: Duration::from_millis(every_ms) };
            let began = Instant::now();
            let (mut now, mut allowance, mut kept) = (began, Allowance::whole(rate, began), 0);
            for (passed_ms, is_given_back) in steps {
                now += Duration::from_millis(passed_ms);
                match allowance.take(now) {
                    Ok(()) if is_given_back => allowance.give_back(),
                    Ok(()) => kept += 1,
                    // what it says of the wait is true, to the nanosecond
                    Err(wait) => {
                        let mut then = Allowance { ..allowance };
                        prop_assert!(then.take(now + wait.saturating_sub(Duration::from_nanos(1))).is_err());
                        prop_assert!(then.take(now + wait).is_ok());
                    }
                }
                let most = u128::from(burst) + now.duration_since(began).as_millis() / u128::from(every_ms);
                prop_assert!(kept <= most, "{} of {}", kept, most);
            }
        }
    }

    #[test]
    fn strangers_hold_up_no_account_and_one_no_other() {
        let allowances = Allowances::new();
        let stranger = |last: u8| Asker::Stranger(Some(Network::of_client([192, 0, 2, last].into())));
        let taken = |asker, of: usize| (0..of).filter(|_| allowances.spend(asker).is_ok()).count();
        assert!((20..=22).contains(&taken(stranger(1), 1_000)));
        assert_eq!(taken(stranger(2), 10), 10);
        let together: usize = (3..100).map(|last| taken(stranger(last), 20)).sum();
        assert!((50..=90).contains(&together), "{together}");
        let account = Asker::Account("3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap());
        assert_eq!(taken(account, 100), 100);
    }
}
