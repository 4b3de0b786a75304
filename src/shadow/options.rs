//! The flags of `serve` that ask for a shadow.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::config::at_least_one;

/// Whose answer clients get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Serve {
    /// The upstream's; it alone is told of writes.
    #[default]
    Upstream,
    /// Ours.
    Here,
}

/// A share of the whole, from none of it (0) to all (1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction(f64);

impl Fraction {
    /// Whether a number, any of which is as likely as another, is of the share.
    #[allow(clippy::cast_precision_loss, reason = "nobody counts on the last bits of a share")]
    pub fn holds(self, number: u64) -> bool {
        (number as f64) < self.0 * (u64::MAX as f64) || self.0 >= 1.0
    }
}

impl FromStr for Fraction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| "give a share from 0 to 1: 0.1 is a tenth".to_owned())
    }
}

/// `--shadow` and what belongs to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Before a crossbar")]
pub struct ShadowArguments {
    /// Compare our answers with the upstream's, of this share of the reads of groups: from 0 to 1
    #[arg(long, env = "CROSSBAR_SHADOW", requires = "upstream", value_name = "FRACTION")]
    pub shadow: Option<Fraction>,

    /// Whose answers clients get meanwhile. With upstream, writes of groups go there and nowhere else
    #[arg(long, env = "CROSSBAR_SHADOW_SERVE", default_value = "upstream", value_name = "WHERE")]
    pub shadow_serve: Serve,

    /// How many reads are compared at a time; further ones are skipped
    #[arg(long, env = "CROSSBAR_SHADOW_AT_ONCE", default_value = "8", value_parser = at_least_one(), value_name = "NUMBER")]
    pub shadow_at_once: usize,

    /// How many bytes an answer may have that is compared
    #[arg(long, env = "CROSSBAR_SHADOW_MAX_ANSWER", default_value = "1000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub shadow_max_answer: usize,

    /// Log what differs too, and not only where: groups' names, and who is in them
    #[arg(long, env = "CROSSBAR_SHADOW_VALUES", requires = "shadow")]
    pub shadow_values: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_a_share() {
        let share = |text: &str| text.parse::<Fraction>().unwrap();
        let held = |text: &str| (0..1000).filter(|part| share(text).holds(u64::MAX / 1000 * part)).count();
        assert_eq!([held("0"), held("0.25"), held("1")], [0, 250, 1000]);
        assert!(share("1").holds(u64::MAX) && !share("0").holds(0));
        for text in ["-0.1", "1.1", "NaN", "ten", ""] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }
}
