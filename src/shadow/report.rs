//! What a running service's metrics say of its comparisons.

use std::fmt;

use serde::Serialize;

use super::counts::NAME;
use super::rules::Rule;

/// What came of all comparisons since the service started.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Reads whose answers said the same.
    pub equal: u64,
    /// Reads whose answers differed once, and not when both were asked again.
    pub passing: u64,
    /// Reads whose answers differed as it is written down, by rule.
    pub explained: Vec<Counted>,
    /// Reads whose answers differed otherwise, by part.
    pub different: Vec<Counted>,
    /// Reads that were not compared, by reason.
    pub skipped: Vec<Counted>,
}

/// So many of a kind.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Counted {
    pub of: String,
    pub number: u64,
}

/// The metrics do not tell of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it compares nothing: is it this service, and serving with --shadow?")]
pub struct NoShadow;

impl Report {
    /// Reads it from metrics in Prometheus's text format.
    ///
    /// Errors: they don't tell.
    pub fn of_metrics(text: &str) -> Result<Self, NoShadow> {
        let mut report = Self::default();
        let mut is_there = false;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix(NAME) else { continue };
            is_there = true;
            let Some((labels, number)) = rest.rsplit_once(' ') else { continue };
            let label = |name: &str| labels.split_once(&format!("{name}=\""))?.1.split('"').next();
            let (Some(outcome), Some(of), Ok(number)) = (label("outcome"), label("detail"), number.parse()) else {
                continue;
            };
            let counted = Counted { of: of.to_owned(), number };
            match outcome {
                "equal" => report.equal = number,
                "passing" => report.passing = number,
                "explained" => report.explained.push(counted),
                "different" => report.different.push(counted),
                _ => report.skipped.push(counted),
            }
        }
        if is_there { Ok(report) } else { Err(NoShadow) }
    }

    /// How many reads were compared.
    pub fn compared(&self) -> u64 {
        self.equal + self.passing + sum(&self.explained) + sum(&self.different)
    }

    /// Whether something was compared, and nothing differed but as it is written down.
    pub fn is_well(&self) -> bool {
        self.compared() > 0 && self.different.is_empty()
    }
}

fn sum(of: &[Counted]) -> u64 {
    of.iter().map(|counted| counted.number).sum()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reads compared: {} equal", self.compared(), self.equal)?;
        if self.passing > 0 {
            write!(f, ", {} equal when asked again", self.passing)?;
        }
        writeln!(f, ", {} explained, {} different", sum(&self.explained), sum(&self.different))?;
        list(f, "explained by a row of Differences from Kazoo 4.3:", &self.explained, row)?;
        list(f, "different (the log says where: \"shadow: differs\"):", &self.different, |_| "")?;
        list(f, "not compared:", &self.skipped, reason)
    }
}

fn list(f: &mut fmt::Formatter<'_>, head: &str, all: &[Counted], told: impl Fn(&str) -> &'static str) -> fmt::Result {
    if !all.is_empty() {
        writeln!(f, "{head}")?;
    }
    for Counted { of, number } in all {
        writeln!(f, "{}", format!("{number:>8}  {of:<20}  {}", told(of)).trim_end())?;
    }
    Ok(())
}

fn row(name: &str) -> &'static str {
    Rule::ALL.into_iter().find(|rule| rule.name() == name).map_or("", Rule::row)
}

fn reason(name: &str) -> &'static str {
    match name {
        "busy" => "as many were being compared as may be (--shadow-at-once)",
        "large" => "an answer was too long (--shadow-max-answer)",
        "coded" => "the upstream answered in a coding other than gzip",
        "has_body" => "the request had a body",
        "signs_in" => "HTTP Basic signs in with each request, which is not done twice",
        "endless" => "a stream of events was asked for",
        _ => "the upstream did not answer, or the client did not wait for all of it",
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Counts;
    use super::super::{Outcome, Part, Skip};
    use super::*;

    fn metrics(of: &[Outcome]) -> String {
        let counts = Counts::new();
        for outcome in of {
            counts.count(*outcome);
        }
        let families: Vec<_> = counts.collectors().iter().flat_map(|collector| collector.collect()).collect();
        let mut text = Vec::new();
        prometheus::Encoder::encode(&prometheus::TextEncoder::new(), &families, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_was_counted_is_reported() {
        let well = [Outcome::Equal, Outcome::Equal, Outcome::Passing, Outcome::Explained(Rule::NextPage)];
        let report = Report::of_metrics(&metrics(&well)).unwrap();
        assert_eq!((report.compared(), report.equal, report.is_well()), (4, 2, true));
        let worse = [&well[..], &[Outcome::Different(Part::Body), Outcome::Skipped(Skip::Busy)]].concat();
        let report = Report::of_metrics(&metrics(&worse)).unwrap();
        assert_eq!((report.compared(), report.is_well()), (5, false));
        let text = report.to_string();
        for line in [
            "5 reads compared: 2 equal, 1 equal when asked again, 1 explained, 1 different",
            "       1  next_page             `next_start_key` of a user's groups leads to the next page",
            "       1  body",
            "       1  busy                  as many were being compared as may be (--shadow-at-once)",
        ] {
            assert!(text.lines().any(|of| of == line), "{line}\n{text}");
        }
    }

    #[test]
    fn nothing_compared_is_not_well_and_no_shadow_is_said() {
        assert!(!Report::of_metrics(&metrics(&[])).unwrap().is_well());
        assert_eq!(Report::of_metrics("crossbar_requests_total 1\n"), Err(NoShadow));
    }
}
