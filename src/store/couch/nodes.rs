//! The nodes of one CouchDB, and which of them is asked.
//!
//! The first that is well is asked, in the order in which they were given: so a client's next read goes where its write
//! went, and CouchDB's own quorum (two of three copies, as it comes) is what else a read needs to see a write made by
//! another node. Views have no quorum: on a cluster a list may be behind for as long as the nodes are apart.
//!
//! A node that fails is left alone for a while, for longer each time, and then asked again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use couch_rs::Client;

/// How long a node is left alone after its first failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest that a node is left alone.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A node: its client, and how it has done lately.
pub struct Node {
    /// Whom to ask.
    pub client: Client,
    /// What logs call it: its host and port.
    name: String,
    health: Mutex<Health>,
}

/// All nodes, of which there is at least one.
pub struct Nodes(Vec<Node>);

/// How a node has done since it answered last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Health {
    failures: u32,
    left_alone_until: Option<Instant>,
}

impl Health {
    fn failed(&mut self, now: Instant) {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.left_alone_until = Some(now + rest);
    }

    /// Whether it is to be left alone, and until when.
    fn resting(&self, now: Instant) -> Option<Instant> {
        self.left_alone_until.filter(|until| *until > now)
    }
}

impl Node {
    /// A node of this name.
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name, health: Mutex::default() }
    }

    /// It answered.
    pub fn answered(&self) {
        let before = std::mem::take(&mut *self.health());
        if before.failures > 0 {
            log::warn!("CouchDB node {} is back", self.name);
        }
    }

    /// It did not, and is left alone from `now` on.
    pub fn failed(&self, now: Instant) {
        let mut health = self.health();
        health.failed(now);
        if health.failures == 1 {
            log::warn!("CouchDB node {} failed, and is left alone for a while", self.name);
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // it is set in one step, so whoever panicked left it whole
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nodes {
    /// These nodes, the one to be preferred first; None if there is none.
    pub fn new(nodes: Vec<Node>) -> Option<Self> {
        (!nodes.is_empty()).then_some(Self(nodes))
    }

    /// Whether there is another to ask if one fails.
    pub fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// The nodes in the order in which they are to be asked: those that are well, then those that are left alone, the
    /// one whose time ends first before the others.
    pub fn in_order(&self, now: Instant) -> impl Iterator<Item = &Node> {
        let resting: Vec<Option<Instant>> = self.0.iter().map(|node| node.health().resting(now)).collect();
        order(&resting).into_iter().filter_map(|place| self.0.get(place))
    }
}

/// The places of nodes by until when they are left alone; those that are not come first, in their own order.
fn order(resting: &[Option<Instant>]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..resting.len()).collect();
    places.sort_by_key(|place| resting[*place]);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_left_alone_for_longer_each_time_up_to_a_bound() {
        let now = Instant::now();
        let mut health = Health::default();
        assert_eq!(health.resting(now), None);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            health.failed(now);
            assert_eq!(health.resting(now), Some(now + Duration::from_secs(seconds)));
            assert_eq!(health.resting(now + Duration::from_secs(seconds)), None);
        }
    }

    #[test]
    fn those_that_are_well_are_asked_first_and_all_are_asked_once() {
        let now = Instant::now();
        let until = |seconds| Some(now + Duration::from_secs(seconds));
        assert_eq!(order(&[None, None, None]), [0, 1, 2]);
        assert_eq!(order(&[until(5), None, None]), [1, 2, 0]);
        assert_eq!(order(&[until(5), None, until(1)]), [1, 2, 0]);
        assert_eq!(order(&[until(5), until(1), until(9)]), [1, 0, 2]);
    }
}
