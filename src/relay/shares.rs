//! The places of requests that are relayed, shared out by network: one may hold three times as many as are free. So alone it
//! comes to three quarters of all, and whoever comes then finds room (Choudhury and Hahne's dynamic thresholds, as switches
//! share their memory).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

use crate::auth::Network;
use crate::metrics::UnderWay;

/// How many places a network may hold for each that is free.
const FOR_EACH_FREE: usize = 3;

/// Whom a place is charged to; None: nobody's address is known.
type Holder = Option<Network>;

/// Places of which there are so many, and who holds them.
pub struct Shares {
    most: usize,
    held: Mutex<Held>,
    under_way: IntGauge,
}

#[derive(Default)]
struct Held {
    all: usize,
    by: HashMap<Holder, usize>,
}

/// A place that is taken until this is dropped.
pub struct Share {
    shares: Arc<Shares>,
    holder: Holder,
    _counted: UnderWay,
}

impl Shares {
    /// `most` places; `under_way` tells how many of them are taken.
    pub fn new(most: usize, under_way: IntGauge) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default(), under_way })
    }

    /// Takes a place.
    ///
    /// Errors: all are taken that the holder may have; there are so many.
    pub fn take(self: &Arc<Self>, holder: Holder) -> Result<Share, usize> {
        let mut held = self.held();
        let own = held.by.get(&holder).copied().unwrap_or(0);
        if own >= (self.most - held.all).saturating_mul(FOR_EACH_FREE) {
            return Err(self.most);
        }
        held.all += 1;
        held.by.insert(holder, own + 1);
        Ok(Share { shares: Arc::clone(self), holder, _counted: UnderWay::of(&self.under_way) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        held.all -= 1;
        if let Entry::Occupied(mut own) = held.by.entry(self.holder) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(places: &Arc<Shares>, last: u8) -> Vec<Share> {
        let holder = Some(Network::of_client([192, 0, 2, last].into()));
        std::iter::from_fn(|| places.take(holder).ok()).collect()
    }

    #[test]
    fn one_network_takes_three_quarters_and_the_next_finds_room() {
        let places = Shares::new(512, IntGauge::new("places", "x").unwrap());
        let first = taken(&places, 1);
        assert_eq!(first.len(), 384);
        let (second, third) = (taken(&places, 2), taken(&places, 3));
        assert_eq!((second.len(), third.len()), (96, 24));
        drop(first);
        assert!(!taken(&places, 3).is_empty(), "who held the fewest may have more now");
        drop((second, third));
        let held = places.held();
        assert_eq!((held.all, held.by.len(), places.under_way.get()), (0, 0, 0));
    }

    #[test]
    fn of_few_places_there_are_some_for_whoever_comes_first() {
        for (most, alone) in [(1, 1), (2, 2), (4, 3), (8, 6)] {
            let places = Shares::new(most, IntGauge::new("places", "x").unwrap());
            assert_eq!(taken(&places, 1).len(), alone);
        }
    }
}
