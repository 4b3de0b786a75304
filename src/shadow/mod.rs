//! Whether we answer as the crossbar does that we are to take the place of: of a share of the reads both answers are compared,
//! beside the requests, and what comes of it is counted.
//!
//! [`compare`] and [`rules`] decide without any I/O; who asks both sides is `api`.

pub mod compare;
mod counts;
mod options;
pub mod report;
pub mod rules;

use std::fmt;
use std::sync::Arc;

use prometheus::core::Collector;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use compare::{Answer, Difference, differences};
use counts::Counts;
use rules::{Question, Rule};

pub use options::{Fraction, Serve, ShadowArguments};

/// How many differences a line of the log names, and how much of each value it tells.
const NAMED: usize = 10;
const LONGEST_VALUE: usize = 200;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answers say the same.
    Equal,
    /// They differ, and did not when both were asked again: something was written in between.
    Passing,
    /// They differ as it is written down.
    Explained(Rule),
    /// They differ.
    Different(Part),
    /// They were not compared.
    Skipped(Skip),
}

/// What of two answers differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Part {
    Status,
    Header,
    Body,
}

/// Why two answers were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// As many are being compared as may be.
    Busy,
    /// An answer is too long.
    Large,
    /// The upstream's answer is in a coding that we don't read.
    Coded,
    /// The request has a body, which is sent on as it comes.
    HasBody,
    /// It signs in, with HTTP Basic: that is not to be done twice.
    SignsIn,
    /// What is asked for has no end.
    Endless,
    /// The upstream did not answer, or the client did not wait for all of it.
    Unanswered,
}

impl Outcome {
    /// What counts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Passing => "passing",
            Self::Explained(_) => "explained",
            Self::Different(_) => "different",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What counts say of it besides.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Equal | Self::Passing => "",
            Self::Explained(rule) => rule.name(),
            Self::Different(Part::Status) => "status",
            Self::Different(Part::Header) => "header",
            Self::Different(Part::Body) => "body",
            Self::Skipped(Skip::Busy) => "busy",
            Self::Skipped(Skip::Large) => "large",
            Self::Skipped(Skip::Coded) => "coded",
            Self::Skipped(Skip::HasBody) => "has_body",
            Self::Skipped(Skip::SignsIn) => "signs_in",
            Self::Skipped(Skip::Endless) => "endless",
            Self::Skipped(Skip::Unanswered) => "unanswered",
        }
    }
}

/// What came of two answers.
#[derive(Debug)]
pub struct Compared {
    /// In a word.
    pub outcome: Outcome,
    /// Where they differ.
    pub differences: Vec<Difference>,
}

impl Compared {
    /// Holds our answer against the upstream's. They differ as it is written down if each difference does.
    pub fn of(question: &Question, theirs: &Answer, ours: &Answer) -> Self {
        let differences = differences(theirs, ours);
        let rules = differences.iter().map(|difference| rules::explain(question, theirs, ours, difference));
        let outcome = match (differences.first(), rules.collect::<Option<Vec<Rule>>>().as_deref()) {
            (None, _) => Outcome::Equal,
            (Some(_), Some([rule, ..])) => Outcome::Explained(*rule),
            (Some(difference), _) => Outcome::Different(difference.part),
        };
        Self { outcome, differences }
    }

    /// The places where they differ, and with `values` what stands there.
    pub fn told(&self, values: bool) -> String {
        let mut told: Vec<String> = self.differences.iter().take(NAMED).map(|of| of.told(values)).collect();
        if self.differences.len() > NAMED {
            told.push(format!("and {} more", self.differences.len() - NAMED));
        }
        told.join(", ")
    }
}

impl Difference {
    fn told(&self, values: bool) -> String {
        let short = |value: &Option<String>| match value {
            Some(value) => value.chars().take(LONGEST_VALUE).collect::<String>(),
            None => "nothing".to_owned(),
        };
        match values {
            true => format!("{} ({}, here {})", self.place, short(&self.theirs), short(&self.ours)),
            false => self.place.clone(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The shadow of an upstream.
pub struct Shadow {
    options: ShadowArguments,
    fraction: Fraction,
    places: Arc<Semaphore>,
    counts: Counts,
}

impl Shadow {
    /// The shadow that the arguments ask for; None if they ask for none.
    pub fn new(options: ShadowArguments) -> Option<Arc<Self>> {
        let fraction = options.shadow?;
        let places = Arc::new(Semaphore::new(options.shadow_at_once.min(Semaphore::MAX_PERMITS)));
        Some(Arc::new(Self { options, fraction, places, counts: Counts::new() }))
    }

    /// What is counted.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.counts.collectors()
    }

    /// Whose answer clients get.
    pub fn serves(&self) -> Serve {
        self.options.shadow_serve
    }

    /// How many bytes an answer may have that is compared.
    pub fn longest(&self) -> usize {
        self.options.shadow_max_answer
    }

    /// Whether a read is one of the share that is compared.
    pub fn is_wanted(&self) -> bool {
        self.fraction.holds(Uuid::new_v4().as_u64_pair().0)
    }

    /// A place to compare in.
    ///
    /// Errors: all are taken.
    pub fn enter(&self) -> Result<OwnedSemaphorePermit, Skip> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Skip::Busy)
    }

    /// Counts what came of a read.
    pub fn count(&self, outcome: Outcome) {
        self.counts.count(outcome);
    }

    /// Counts what came of a comparison, and says in the log where the answers differ. `path` may be logged.
    pub fn tell(&self, compared: &Compared, request_id: &str, path: impl fmt::Display, statuses: (u16, u16)) {
        self.count(compared.outcome);
        let at = || compared.told(self.options.shadow_values);
        match compared.outcome {
            Outcome::Different(_) => log::warn!(
                request_id = request_id, path:% = path, upstream = statuses.0, here = statuses.1, at = at().as_str();
                "shadow: differs"
            ),
            Outcome::Explained(rule) => log::info!(
                request_id = request_id, path:% = path, upstream = statuses.0, here = statuses.1, at = at().as_str(),
                rule = rule.name();
                "shadow: differs as it is written down"
            ),
            Outcome::Equal | Outcome::Passing | Outcome::Skipped(_) => {}
        }
    }
}
