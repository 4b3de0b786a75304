//! What is counted of comparisons.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts};

use crate::metrics::made;

use super::Outcome;

/// The name of the counter, which [`report`](super::report) reads.
pub const NAME: &str = "crossbar_shadow_reads_total";

/// The counters of one application.
#[derive(Debug, Clone)]
pub struct Counts(IntCounterVec);

impl Counts {
    /// Counters at zero.
    pub fn new() -> Self {
        let help = "Reads of which both answers were to be compared, by outcome: equal, passing (something was written in \
            between), explained (by that rule of Differences), different (in that part), skipped (for that reason)";
        let counts = made(IntCounterVec::new(Opts::new(NAME, help), &["outcome", "detail"]));
        // so that it is known from the start that there is a shadow
        counts.with_label_values(&[Outcome::Equal.name(), Outcome::Equal.detail()]);
        Self(counts)
    }

    /// Counts one.
    pub fn count(&self, outcome: Outcome) {
        self.0.with_label_values(&[outcome.name(), outcome.detail()]).inc();
    }

    /// What is to be shown.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.0.clone())]
    }
}
