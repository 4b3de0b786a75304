//! How a node has done lately. One that fails is left alone for a while, for longer each time.

use std::time::{Duration, Instant};

/// How long a node is left alone after its first failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest that a node is left alone, and how long it has to be well until its failures are forgotten.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How a node has done lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It greets.
    Well {
        since: Instant,
        /// How long it was left alone before.
        rested: Duration,
    },
    /// It failed.
    LeftAlone {
        until: Instant,
        /// For how long it is left alone this time.
        rest: Duration,
    },
}

impl Health {
    /// That of a node of which nothing is known yet.
    pub(super) fn new(now: Instant) -> Self {
        Self::Well { since: now, rested: Duration::ZERO }
    }

    /// It failed. While it is left alone, further failures are those of requests that were under way.
    pub(super) fn failed(self, now: Instant) -> Self {
        let rested = match self {
            Self::LeftAlone { until, .. } if now < until => return self,
            Self::LeftAlone { rest, .. } => rest,
            Self::Well { since, rested } if now < since + LONGEST_REST => rested,
            Self::Well { .. } => Duration::ZERO,
        };
        let rest = (rested * 2).clamp(FIRST_REST, LONGEST_REST);
        Self::LeftAlone { until: now + rest, rest }
    }

    /// It greeted. One that is left alone may greet all the while: that counts when its time is over.
    pub(super) fn greeted(self, now: Instant) -> Self {
        match self {
            Self::LeftAlone { until, rest } if until <= now => Self::Well { since: now, rested: rest },
            _ => self,
        }
    }

    pub(super) fn is_well(self) -> bool {
        matches!(self, Self::Well { .. })
    }

    /// Until when it is left alone; when that is over, it may be asked whether it greets again.
    pub(super) fn resting(self) -> Option<Instant> {
        match self {
            Self::Well { .. } => None,
            Self::LeftAlone { until, .. } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_left_alone_for_longer_each_time_up_to_a_bound() {
        let mut now = Instant::now();
        let mut health = Health::new(now);
        for (round, seconds) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            let until = now + Duration::from_secs(seconds);
            // all that were under way fail
            for _ in 0..3 {
                health = health.failed(now);
                assert_eq!(health.resting(), Some(until));
            }
            now = until;
            // that it greets and fails again at once is no recovery
            if round % 2 == 0 {
                health = health.greeted(now);
                assert!(health.is_well());
                now += Duration::from_secs(5);
            }
        }
    }

    #[test]
    fn the_failures_of_a_node_that_stays_well_are_forgotten() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let health = Health::new(start).failed(start).failed(after(1)).failed(after(3)).greeted(after(7));
        assert_eq!(health.failed(after(36)).resting(), Some(after(36 + 8)));
        assert_eq!(health.failed(after(38)).resting(), Some(after(38 + 1)));
    }
}
