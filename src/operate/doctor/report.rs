//! What was found, for people and for scripts.

use std::fmt;

use serde::Serialize;

/// What to do where a store is not reached, and nothing more is known.
pub(super) const SEE_STORE: &str =
    "see that it runs, and that --store has its host, port, user and password (or its folder)";

/// One thing that the service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Ok {
        /// What it is.
        found: String,
    },
    /// It is not as it should be.
    Failed {
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// It could not be looked at, or need not be.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// All that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One after another; what needs what failed is not there.
    pub checks: Vec<Check>,
}

/// It is as it should be.
pub(super) fn ok(found: impl Into<String>) -> Outcome {
    Outcome::Ok { found: found.into() }
}

/// It is not; what to do is told too.
pub(super) fn failed(problem: impl fmt::Display, remedy: impl Into<String>) -> Outcome {
    Outcome::Failed { problem: problem.to_string(), remedy: remedy.into() }
}

/// It was not looked at, for this reason.
pub(super) fn skipped(reason: impl Into<String>) -> Outcome {
    Outcome::Skipped { reason: reason.into() }
}

impl Report {
    /// The report of a store that could not be opened.
    pub fn unreachable(reason: &impl fmt::Display, remedy: Option<&'static str>) -> Self {
        Self { checks: vec![Check { name: "reachable", outcome: failed(reason, remedy.unwrap_or(SEE_STORE)) }] }
    }

    /// Whether nothing failed.
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| !matches!(check.outcome, Outcome::Failed { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Ok { found } => writeln!(f, "ok       {name}: {found}")?,
                Outcome::Failed { problem, remedy } => writeln!(f, "FAILED   {name}: {problem} — {remedy}")?,
                Outcome::Skipped { reason } => writeln!(f, "skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}
