//! What happened.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of all clients.
#[derive(Default)]
pub struct Counts {
    honest: AtomicU64,
    hostile: AtomicU64,
    large: AtomicU64,
    slow: AtomicU64,
    unanswered: AtomicU64,
    overloaded: AtomicU64,
    faults: AtomicU64,
    lost: AtomicU64,
    leaked: AtomicU64,
    slowest_health_ms: AtomicU64,
}

impl Counts {
    /// A request of an honest client, and the status of its answer.
    pub fn honest(&self, status: Option<u16>) {
        self.honest.fetch_add(1, Relaxed);
        self.answered(status, "an honest client");
    }

    /// A request of a hostile client, and the status of its answer.
    pub fn hostile(&self, status: Option<u16>, what: &str) {
        self.hostile.fetch_add(1, Relaxed);
        self.answered(status, what);
    }

    /// A request with a large body, and the status of its answer.
    pub fn large(&self, status: Option<u16>) {
        self.large.fetch_add(1, Relaxed);
        self.answered(status, "a large body");
    }

    /// A connection of a slow client.
    pub fn slow(&self) {
        self.slow.fetch_add(1, Relaxed);
    }

    /// What was answered is not there, or is not what was answered.
    pub fn lost(&self, what: &str) {
        eprintln!("lost: {what}");
        self.lost.fetch_add(1, Relaxed);
    }

    /// Somebody read what is another's.
    pub fn leaked(&self, what: &str) {
        eprintln!("leaked: {what}");
        self.leaked.fetch_add(1, Relaxed);
    }

    /// Something that must not happen.
    pub fn fault(&self, what: &str) {
        eprintln!("fault: {what}");
        self.faults.fetch_add(1, Relaxed);
    }

    /// How long `/healthz` took.
    pub fn health(&self, milliseconds: u64) {
        self.slowest_health_ms.fetch_max(milliseconds, Relaxed);
    }

    /// Whether all is well.
    pub fn are_well(&self) -> bool {
        [&self.faults, &self.lost, &self.leaked].iter().all(|count| count.load(Relaxed) == 0)
    }

    fn answered(&self, status: Option<u16>, what: &str) {
        match status {
            None => drop(self.unanswered.fetch_add(1, Relaxed)),
            // over a budget, and told so
            Some(503) => drop(self.overloaded.fetch_add(1, Relaxed)),
            Some(status @ 500..) => self.fault(&format!("{status} to {what}")),
            Some(_) => {}
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: &AtomicU64| of.load(Relaxed);
        writeln!(
            f,
            "requests     {} honest, {} hostile, {} large; {} slow connections",
            count(&self.honest),
            count(&self.hostile),
            count(&self.large),
            count(&self.slow)
        )?;
        writeln!(f, "unanswered   {} (the service was killed)", count(&self.unanswered))?;
        writeln!(f, "overloaded   {} (503, over a budget)", count(&self.overloaded))?;
        writeln!(f, "faults       {}", count(&self.faults))?;
        writeln!(f, "lost         {}", count(&self.lost))?;
        writeln!(f, "leaked       {}", count(&self.leaked))?;
        writeln!(f, "/healthz     {} ms at most", count(&self.slowest_health_ms))
    }
}
