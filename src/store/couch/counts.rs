//! What is counted of a CouchDB's nodes, for operators. A node's label is its host and port.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::metrics::{LATENCIES, made};

/// The counters of all nodes.
pub(super) struct Counts {
    under_way: IntGaugeVec,
    refused: IntCounterVec,
    requests: IntCounterVec,
    seconds: HistogramVec,
    well: IntGaugeVec,
}

/// Those of one node.
pub(super) struct NodeCounts {
    /// Requests that it has not answered yet.
    pub(super) under_way: IntGauge,
    /// Requests for which no connection became free.
    pub(super) refused: IntCounter,
    answered: IntCounter,
    failed: IntCounter,
    seconds: Histogram,
    /// 1 if it is well, 0 if it is left alone.
    pub(super) well: IntGauge,
}

impl Counts {
    pub(super) fn new() -> Self {
        made(Self::named())
    }

    fn named() -> prometheus::Result<Self> {
        let of_node = &["node"];
        let under_way =
            Opts::new("crossbar_couchdb_requests_under_way", "Requests to a CouchDB node without answer yet");
        let refused = Opts::new(
            "crossbar_couchdb_requests_refused_total",
            "Requests that were not sent to a CouchDB node, since no connection to it became free in time",
        );
        let requests = Opts::new(
            "crossbar_couchdb_requests_total",
            "Requests to a CouchDB node, its greetings too, by whether it answered (outcome ok or failed)",
        );
        let seconds = HistogramOpts::new(
            "crossbar_couchdb_request_duration_seconds",
            "How long requests to a CouchDB node took until its answer was there, or was not waited for any longer",
        );
        let well = Opts::new("crossbar_couchdb_node_well", "Whether a CouchDB node is well (1) or left alone (0)");
        Ok(Self {
            under_way: IntGaugeVec::new(under_way, of_node)?,
            refused: IntCounterVec::new(refused, of_node)?,
            requests: IntCounterVec::new(requests, &["node", "outcome"])?,
            seconds: HistogramVec::new(seconds.buckets(LATENCIES.to_vec()), of_node)?,
            well: IntGaugeVec::new(well, of_node)?,
        })
    }

    /// The counters of a node, which is well.
    pub(super) fn of(&self, node: &str) -> NodeCounts {
        let counts = NodeCounts {
            under_way: self.under_way.with_label_values(&[node]),
            refused: self.refused.with_label_values(&[node]),
            answered: self.requests.with_label_values(&[node, "ok"]),
            failed: self.requests.with_label_values(&[node, "failed"]),
            seconds: self.seconds.with_label_values(&[node]),
            well: self.well.with_label_values(&[node]),
        };
        counts.well.set(1);
        counts
    }

    /// All of them, to be shown.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.under_way.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.seconds.clone()),
            Box::new(self.well.clone()),
        ]
    }
}

impl NodeCounts {
    /// A request was answered, or was not.
    pub(super) fn asked(&self, is_answered: bool, took: Duration) {
        let outcome = if is_answered { &self.answered } else { &self.failed };
        outcome.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}
