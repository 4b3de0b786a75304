//! How long who fails to sign in must wait: the rules, with no state but what is handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::auth::Network;

/// The pause after the first failure that is not free; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What failing costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many failures cost nothing: people mistype.
    pub free: u32,
    /// The longest pause.
    pub longest: Duration,
    /// After how long without a failure one is forgiven.
    pub forgiven_after: Duration,
}

impl Rule {
    /// How long after the last of `failures` the next attempt may be made.
    pub fn pause(&self, failures: u32) -> Duration {
        match failures.saturating_sub(self.free) {
            0 => Duration::ZERO,
            paid => FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(paid - 1)).min(self.longest),
        }
    }
}

/// The failures of one who is held to a rule.
#[derive(Debug, Clone, Copy)]
pub struct Failures {
    number: u32,
    last: Instant,
}

impl Failures {
    /// None yet, at `now`.
    pub fn none(now: Instant) -> Self {
        Self { number: 0, last: now }
    }

    /// How many are not forgiven at `now`.
    pub fn number(&self, rule: &Rule, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.last).as_nanos() / rule.forgiven_after.as_nanos().max(1);
        self.number.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// How long it is at `now` until the next attempt may be made.
    pub fn wait(&self, rule: &Rule, now: Instant) -> Duration {
        rule.pause(self.number).saturating_sub(now.saturating_duration_since(self.last))
    }

    /// There was one more at `now`.
    pub fn add(&mut self, rule: &Rule, now: Instant) {
        *self = Self { number: self.number(rule, now).saturating_add(1), last: now };
    }
}

/// How far apart attempts at an account under attack are taken: at first, and at the most.
const FIRST_SPACING: Duration = Duration::from_millis(100);
const WIDEST_SPACING: Duration = Duration::from_secs(1);

/// How long an attempt waits for its turn at the most.
pub const LONGEST_TURN: Duration = Duration::from_secs(10);

/// How many attempts of one region may wait for their turns at one account.
const TURNS_OF_REGION: usize = 5;

/// The turns at one account: while it is under attack, attempts of networks that it does not know are taken one by one,
/// and few wait.
#[derive(Debug, Default)]
pub struct Turns {
    waiting: VecDeque<(Option<Network>, Instant)>,
    last: Option<Instant>,
}

impl Turns {
    /// Gives an attempt from a region its turn: how long it is until then. `beyond` is how many failures more there are
    /// than are free.
    ///
    /// Errors: too many wait, of all or of this region; how long it is until one less does.
    pub fn take(&mut self, region: Option<Network>, beyond: u32, now: Instant) -> Result<Duration, Duration> {
        while self.waiting.front().is_some_and(|(_, turn)| *turn <= now) {
            self.waiting.pop_front();
        }
        let turn = self.last.map_or(now, |last| (last + spacing(beyond)).max(now));
        let wait = turn.duration_since(now);
        let of_region = self.waiting.iter().filter(|(of, _)| *of == region).map(|(_, turn)| *turn);
        let until_one_less = match of_region.clone().count() {
            TURNS_OF_REGION.. => of_region.min().map_or(Duration::ZERO, |next| next.duration_since(now)),
            _ => Duration::ZERO,
        };
        let too_long = until_one_less.max(wait.saturating_sub(LONGEST_TURN));
        if !too_long.is_zero() {
            return Err(too_long);
        }
        self.waiting.push_back((region, turn));
        self.last = Some(turn);
        Ok(wait)
    }
}

/// How far apart turns are.
fn spacing(beyond: u32) -> Duration {
    FIRST_SPACING.saturating_mul(2_u32.saturating_pow(beyond)).min(WIDEST_SPACING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule() -> impl Strategy<Value = Rule> {
        (0_u32..20, 1_u64..5_000, 1_u64..2_000).prop_map(|(free, longest, forgiven_after)| Rule {
            free,
            longest: Duration::from_secs(longest),
            forgiven_after: Duration::from_secs(forgiven_after),
        })
    }

    proptest! {
        #[test]
        fn pauses_grow_from_nothing_to_the_longest(rule in rule(), failures: u32) {
            prop_assert!(rule.pause(failures) <= rule.pause(failures.saturating_add(1)));
            prop_assert_eq!(rule.pause(failures).is_zero(), failures <= rule.free);
            prop_assert_eq!(rule.pause(rule.free + 1), FIRST_PAUSE.min(rule.longest));
            prop_assert_eq!(rule.pause(u32::MAX), rule.longest);
        }

        #[test]
        fn nothing_is_forgotten_while_it_is_paused_and_all_is_at_last(
            rule in rule(),
            after in prop::collection::vec(0_u64..3_000, 1..40),
        ) {
            let mut now = Instant::now();
            let mut failures = Failures::none(now);
            for after in after {
                now += Duration::from_secs(after);
                let before = failures.number(&rule, now);
                failures.add(&rule, now);
                prop_assert_eq!(failures.number(&rule, now), before + 1);
                let wait = failures.wait(&rule, now);
                prop_assert_eq!(wait, rule.pause(before + 1));
                // what is said of the wait is true
                prop_assert!(failures.wait(&rule, now + wait).is_zero());
                prop_assert!(wait.is_zero() || !failures.wait(&rule, now + wait.saturating_sub(Duration::from_nanos(1))).is_zero());
            }
            let long_after = now + rule.forgiven_after * failures.number(&rule, now);
            prop_assert_eq!(failures.number(&rule, long_after), 0);
        }

        #[test]
        fn turns_are_apart_and_few_wait(
            attempts in prop::collection::vec((0_u64..300, 0_u8..8, 0_u32..10), 1..300),
        ) {
            let (mut now, mut turns, mut last) = (Instant::now(), Turns::default(), None);
            for (after, region, beyond) in attempts {
                now += Duration::from_millis(after);
                let region = Some(Network::of_client([10, region, 0, 1].into()).region());
                match turns.take(region, beyond, now) {
                    Ok(wait) => {
                        prop_assert!(wait <= LONGEST_TURN);
                        let apart = last.map(|last| (now + wait).duration_since(last));
                        prop_assert!(apart.is_none_or(|apart| apart >= spacing(beyond)));
                        last = Some(now + wait);
                    }
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO);
                        prop_assert!(turns.take(region, beyond, now + wait).is_ok(), "the wait is true");
                        last = turns.last;
                        now += wait;
                    }
                }
                prop_assert!(turns.waiting.iter().filter(|(of, _)| *of == region).count() <= TURNS_OF_REGION);
            }
        }
    }

    #[test]
    fn one_region_does_not_take_all_turns() {
        let (now, mut turns) = (Instant::now(), Turns::default());
        let region = |second| Some(Network::of_client([10, second, 0, 1].into()).region());
        let taken = (0..1_000).filter(|_| turns.take(region(1), 20, now).is_ok()).count();
        assert_eq!(taken, TURNS_OF_REGION + 1, "one at once, the others wait");
        assert!(turns.take(region(2), 20, now).is_ok_and(|wait| wait <= LONGEST_TURN));
    }
}
