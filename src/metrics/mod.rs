//! What the service counts of itself, for Prometheus. Each application has counters of its own; labels are few and
//! known: routes are templates, and no account, id or token is one.

mod process;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::budgets::Budget;
use crate::logging;

use process::Process;

/// The bounds of the histograms' buckets, in seconds.
pub(crate) const LATENCIES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// What is counted of a cache.
#[derive(Debug, Clone)]
pub struct CacheLookups {
    /// What was remembered.
    pub hits: IntCounter,
    /// What was not.
    pub misses: IntCounter,
}

/// The counters of one application.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    over_budget: IntCounterVec,
    rate_limited: IntCounter,
    requests_under_way: IntGauge,
    bytes_in_flight: IntGauge,
    listeners: IntGauge,
    store_calls: IntCounterVec,
    store_seconds: HistogramVec,
    writes_under_way: IntGauge,
    writes_refused: IntCounter,
    cache_lookups: IntCounterVec,
    notices_queued: IntCounter,
    notices_sent: IntCounter,
    notices_dropped: IntCounter,
}

impl Metrics {
    /// Counters at zero, of a process that started at `started`.
    pub fn new(started: SystemTime) -> Self {
        made(Self::registered(started))
    }

    fn registered(started: SystemTime) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name, help| shown(&registry, IntCounter::new(name, help));
        let gauge = |name, help| shown(&registry, IntGauge::new(name, help));
        let counters =
            |name, help, labels: &[&str]| shown(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let seconds = |name, help, label| {
            let opts = HistogramOpts::new(name, help).buckets(LATENCIES.to_vec());
            shown(&registry, HistogramVec::new(opts, &[label]))
        };

        let started_at = gauge("process_start_time_seconds", "When the process started, in seconds since 1970")?;
        let since_1970 = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        started_at.set(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX));
        let build = Opts::new("crossbar_build_info", "The version that runs, and the commit that it was built of");
        let build = shown(&registry, IntGaugeVec::new(build, &["version", "commit"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("CROSSBAR_COMMIT")]).set(1);
        registry.register(Box::new(logging::lost()))?;
        registry.register(Box::new(Process::new()?))?;
        Ok(Self {
            requests: counters(
                "crossbar_requests_total",
                "Requests answered, by route, method and status",
                &["route", "method", "status"],
            )?,
            request_seconds: seconds(
                "crossbar_request_duration_seconds",
                "How long answering took, by route",
                "route",
            )?,
            over_budget: counters(
                "crossbar_over_budget_total",
                "Requests that went over a bound, by its name",
                &["budget"],
            )?,
            rate_limited: counter(
                "crossbar_rate_limited_total",
                "Requests that were refused (429), since their client asked or failed to sign in too often",
            )?,
            requests_under_way: gauge("crossbar_requests_under_way", "Requests that are being answered")?,
            bytes_in_flight: gauge(
                "crossbar_bytes_in_flight",
                "Bytes of large bodies, documents and answers that requests hold",
            )?,
            listeners: gauge("crossbar_listeners", "Clients that listen to what happens")?,
            store_calls: counters(
                "crossbar_store_calls_total",
                "Calls of the store (CouchDB), by call and outcome",
                &["call", "outcome"],
            )?,
            store_seconds: seconds("crossbar_store_call_duration_seconds", "How long calls of the store took", "call")?,
            writes_under_way: gauge("crossbar_writes_under_way", "Writes into the store that are not done yet")?,
            writes_refused: counter(
                "crossbar_writes_refused_total",
                "Writes that were not begun, since too many were under way",
            )?,
            cache_lookups: counters(
                "crossbar_auth_cache_lookups_total",
                "Lookups of remembered tokens, keys, secrets and accounts, by what was looked up and outcome",
                &["of", "outcome"],
            )?,
            notices_queued: counter("crossbar_notices_queued_total", "Change notices queued for the broker")?,
            notices_sent: counter("crossbar_notices_sent_total", "Change notices that the broker confirmed")?,
            notices_dropped: counter(
                "crossbar_notices_dropped_total",
                "Change notices that never reached the broker: the queue was full, or the service stopped",
            )?,
            registry,
        })
    }

    /// A request was answered.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, method, &status.to_string()]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A request went over a bound.
    pub fn over_budget(&self, budget: Budget) {
        self.over_budget.with_label_values(&[budget.name()]).inc();
    }

    /// A request was refused, since its client asks too often.
    pub fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// How many requests are being answered: to be kept by who lets them in.
    pub fn requests_under_way(&self) -> IntGauge {
        self.requests_under_way.clone()
    }

    /// How many bytes requests hold: to be kept by who charges them.
    pub fn bytes_in_flight(&self) -> IntGauge {
        self.bytes_in_flight.clone()
    }

    /// How many listen: to be kept by who lets them.
    pub fn listeners(&self) -> IntGauge {
        self.listeners.clone()
    }

    /// The store answered.
    pub fn store_call(&self, call: &str, outcome: &str, took: Duration) {
        self.store_calls.with_label_values(&[call, outcome]).inc();
        self.store_seconds.with_label_values(&[call]).observe(took.as_secs_f64());
    }

    /// Shows what others count beside its own.
    pub fn show(&self, collectors: Vec<Box<dyn Collector>>) {
        for collector in collectors {
            if let Err(error) = self.registry.register(collector) {
                log::error!("metrics: {error}");
            }
        }
    }

    /// A write is under way until what this gives is dropped.
    pub fn write_under_way(&self) -> UnderWay {
        UnderWay::of(&self.writes_under_way)
    }

    /// A write was not begun: too many were under way.
    pub fn write_refused(&self) {
        self.writes_refused.inc();
    }

    /// How often something of a kind was looked up that may be remembered, and was, or was not: to be counted by who looks.
    pub fn cache_lookups(&self, of: &str) -> CacheLookups {
        let of = |outcome| self.cache_lookups.with_label_values(&[of, outcome]);
        CacheLookups { hits: of("hit"), misses: of("miss") }
    }

    /// A change notice was taken into the queue.
    pub fn notice_queued(&self) {
        self.notices_queued.inc();
    }

    /// The broker has confirmed a change notice.
    pub fn notice_sent(&self) {
        self.notices_sent.inc();
    }

    /// Change notices will never reach the broker.
    pub fn notices_dropped(&self, number: usize) {
        self.notices_dropped.inc_by(number as u64);
    }

    /// All counters in Prometheus's text format.
    ///
    /// Errors: never, as long as the counters are those of [`Metrics::new`].
    pub fn to_text(&self) -> prometheus::Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// What was made to count, which a registry shows from now on.
fn shown<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> prometheus::Result<C> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

/// What was made to count: that fails only where a name is none or is taken, and all names stand in this program.
pub(crate) fn made<T>(counters: prometheus::Result<T>) -> T {
    counters.unwrap_or_else(|error| unreachable!("metrics: {error}"))
}

/// Something that is under way until this is dropped.
#[must_use]
pub struct UnderWay(IntGauge);

impl UnderWay {
    /// One more of what a gauge counts.
    pub fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
