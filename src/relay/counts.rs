//! What is counted of an upstream.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::metrics::made;

/// The bounds of the buckets, in seconds: crossbar takes longer than we do.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// The counters of one application.
#[derive(Debug, Clone)]
pub struct Counts {
    relayed: IntCounterVec,
    seconds: HistogramVec,
    /// Requests that have a place.
    pub under_way: IntGauge,
    /// Answers that ended before their end.
    pub broken: IntCounter,
    /// Whether it answered when it was last asked how it is.
    pub is_well: IntGauge,
}

impl Counts {
    /// Counters at zero.
    pub fn new() -> Self {
        made(Self::named())
    }

    fn named() -> prometheus::Result<Self> {
        Ok(Self {
            relayed: IntCounterVec::new(
                Opts::new(
                    "crossbar_relayed_requests_total",
                    "Requests for the upstream, by status, and by who gave it: the upstream, or here where it did not",
                ),
                &["status", "by"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "crossbar_relayed_answer_seconds",
                    "How long the upstream took to begin its answer, the time of the request's body included, by status",
                )
                .buckets(SECONDS.to_vec()),
                &["status"],
            )?,
            under_way: IntGauge::new("crossbar_relayed_under_way", "Requests that are being relayed")?,
            broken: IntCounter::new(
                "crossbar_relayed_broken_total",
                "Answers of the upstream that were cut off: by it, or since nothing more of them came",
            )?,
            is_well: IntGauge::new("crossbar_upstream_up", "Whether the upstream answered when it was last asked")?,
        })
    }

    /// The upstream began its answer.
    pub fn answered(&self, status: u16, took: Duration) {
        let status = status.to_string();
        self.relayed.with_label_values(&[status.as_str(), "upstream"]).inc();
        self.seconds.with_label_values(&[status]).observe(took.as_secs_f64());
    }

    /// It did not.
    pub fn failed(&self, status: u16) {
        self.relayed.with_label_values(&[status.to_string().as_str(), "here"]).inc();
    }

    /// What is to be shown.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.relayed.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.under_way.clone()),
            Box::new(self.broken.clone()),
            Box::new(self.is_well.clone()),
        ]
    }
}
