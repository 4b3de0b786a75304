//! The nodes of one CouchDB, and which of them is asked.
//!
//! The first that is well is asked, in the order in which they were given: so a client's next read goes where its write
//! went, and CouchDB's own quorum (two of three copies, as it comes) is what else a read needs to see a write made by
//! another node. Views have no quorum: on a cluster a list may be behind for as long as the nodes are apart.
//!
//! A node that fails is left alone for a while, for longer each time. Then one request tries it, and the others leave it
//! alone until it has answered: where a node hangs, one client waits for it and not all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;

/// How long a node is left alone after its first failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest that a node is left alone.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// After how long without an answer a node has failed whose client would not wait any longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A node: its client, and how it has done lately.
pub struct Node {
    client: Client,
    /// What logs call it: its host and port.
    name: String,
    health: Mutex<Health>,
}

/// All nodes, of which there is at least one.
pub struct Nodes(Vec<Node>);

/// A node that is asked something. If this is dropped, whoever wanted to know has given up.
pub struct Asked<'n> {
    node: &'n Node,
    since: Instant,
    /// Whether it is known how it ended. Of one node alone nobody needs to know.
    is_over: bool,
}

/// How a node has done lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Health {
    /// It answered.
    #[default]
    Well,
    /// It failed.
    LeftAlone {
        until: Instant,
        /// For how long it is left alone this time.
        rest: Duration,
        /// Whether a request tries it meanwhile.
        is_tried: bool,
    },
}

impl Health {
    /// Of the requests that were under way when it failed, the first counts alone.
    fn failed(&mut self, now: Instant) {
        let rest = match *self {
            Self::Well => FIRST_REST,
            Self::LeftAlone { rest, is_tried: true, .. } => rest.saturating_mul(2).min(LONGEST_REST),
            Self::LeftAlone { is_tried: false, .. } => return,
        };
        *self = Self::LeftAlone { until: now + rest, rest, is_tried: false };
    }

    /// A request goes there. If its rest has ended, it rests on for all others.
    fn asked(&mut self, now: Instant) {
        if let Self::LeftAlone { until, rest, .. } = *self
            && until <= now
        {
            *self = Self::LeftAlone { until: now + rest, rest, is_tried: true };
        }
    }

    /// Whether it is to be left alone, and until when.
    fn resting(self, now: Instant) -> Option<Instant> {
        match self {
            Self::LeftAlone { until, .. } if until > now => Some(until),
            Self::LeftAlone { .. } | Self::Well => None,
        }
    }
}

impl Node {
    /// A node of this name.
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name, health: Mutex::default() }
    }

    /// Whom to ask.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its host and port.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn answered(&self) {
        if std::mem::take(&mut *self.health()) != Health::Well {
            log::warn!("CouchDB node {} is back", self.name);
        }
    }

    fn failed(&self, now: Instant) {
        let before = {
            let mut health = self.health();
            let before = *health;
            health.failed(now);
            before
        };
        if before == Health::Well {
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

    /// All of them, as they were given.
    pub fn all(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// The nodes in the order in which they are to be asked: those that are well, then those that are left alone, the
    /// one whose time ends first before the others. Each that is taken is to be asked at once.
    pub fn in_order(&self) -> impl Iterator<Item = Asked<'_>> {
        let now = Instant::now();
        let resting: Vec<Option<Instant>> = self.0.iter().map(|node| node.health().resting(now)).collect();
        let nodes = order(&resting).into_iter().filter_map(|place| self.0.get(place));
        nodes.map(|node| {
            let since = Instant::now();
            node.health().asked(since);
            Asked { node, since, is_over: self.0.len() == 1 }
        })
    }
}

impl Asked<'_> {
    /// Whom to ask.
    pub fn node(&self) -> &Node {
        self.node
    }

    /// It answered.
    pub fn answered(mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.node.answered();
        }
    }

    /// It did not, and is left alone for a while.
    pub fn failed(mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.node.failed(Instant::now());
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= PATIENCE {
            self.node.failed(Instant::now());
        }
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
        let mut now = Instant::now();
        let mut health = Health::Well;
        health.asked(now);
        assert_eq!(health.resting(now), None);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let until = now + Duration::from_secs(seconds);
            // all that were under way fail
            for _ in 0..3 {
                health.failed(now);
                assert_eq!(health.resting(now), Some(until));
            }
            now = until;
            assert_eq!(health.resting(now), None);
            health.asked(now);
        }
    }

    #[test]
    fn one_request_tries_a_node_that_has_rested() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::Well;
        health.failed(start);
        health.asked(start);
        assert_eq!(health.resting(start), Some(after(1)), "asked for want of another");
        health.asked(after(5));
        assert_eq!(health.resting(after(5)), Some(after(6)), "who comes now leaves it alone");
        assert_eq!(health.resting(after(6)), None, "the one that tried it gave up");
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
