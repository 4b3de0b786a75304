//! What a plan would do, and what became of it, for people and for scripts.

use std::fmt;

use serde::Serialize;

use super::accounts;
use super::changes::Changes;
use super::problem::Problem;
use super::rings::Compared;
use super::told::{Action, Told};
use super::write::Outcome;

/// What is to be done in an account, and what became of it.
#[derive(Debug, Clone)]
pub struct AccountPlan {
    /// The account.
    pub account: accounts::Known,
    /// What is to be done.
    pub changes: Changes,
    /// The same in words.
    pub told: Vec<Told>,
    /// What would ring differently.
    pub rings: Compared,
    /// What became of it, once it was applied.
    pub outcome: Option<Outcome>,
}

/// What is to be done, or what became of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// By account, in the order of the file.
    pub accounts: Vec<AccountPlan>,
}

/// How many groups are created, changed and deleted, and how many are as they are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub accounts: usize,
    pub created: usize,
    pub changed: usize,
    pub deleted: usize,
    pub unchanged: usize,
    pub conflicts: usize,
}

impl AccountPlan {
    /// Whether nothing stands in its way, and nothing went wrong.
    pub fn is_well(&self) -> bool {
        self.changes.conflicts.is_empty() && matches!(self.outcome, None | Some(Outcome::Written))
    }
}

impl Report {
    /// Whether nothing stands in the way, and nothing went wrong.
    pub fn is_well(&self) -> bool {
        self.accounts.iter().all(AccountPlan::is_well)
    }

    /// How much there is to do, or was done: of accounts that were not written nothing is counted but that.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { accounts: self.accounts.len(), ..Counts::default() };
        for account in &self.accounts {
            counts.unchanged += account.changes.unchanged;
            if !account.is_well() {
                counts.conflicts += 1;
                continue;
            }
            for change in &account.changes.changes {
                match change.action() {
                    Action::Create => counts.created += 1,
                    Action::Change => counts.changed += 1,
                    Action::Delete => counts.deleted += 1,
                }
            }
        }
        counts
    }

    /// The accounts of which there is something to tell.
    fn told(&self) -> impl Iterator<Item = &AccountPlan> {
        self.accounts.iter().filter(|account| !account.told.is_empty() || !account.is_well())
    }

    /// For scripts.
    pub fn to_json(&self) -> impl Serialize + '_ {
        #[derive(Serialize)]
        struct Json<'r> {
            #[serde(flatten)]
            counts: Counts,
            changes: Vec<OfAccount<'r>>,
        }

        #[derive(Serialize)]
        struct OfAccount<'r> {
            #[serde(rename = "account")]
            id: String,
            name: Option<&'r str>,
            realm: Option<&'r str>,
            groups: &'r [Told],
            rings: &'r Compared,
            conflicts: &'r [Problem],
            #[serde(flatten)]
            outcome: Option<&'r Outcome>,
        }

        let changes = self.told().map(|plan| OfAccount {
            id: plan.account.id.to_string(),
            name: plan.account.name.as_deref(),
            realm: plan.account.realm.as_deref(),
            groups: &plan.told,
            rings: &plan.rings,
            conflicts: &plan.changes.conflicts,
            outcome: plan.outcome.as_ref(),
        });
        Json { counts: self.counts(), changes: changes.collect() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told().try_for_each(|account| write!(f, "{account}"))?;
        let Counts { accounts, created, changed, deleted, unchanged, conflicts } = self.counts();
        let is_done = self.accounts.iter().any(|account| account.outcome.is_some());
        let (create, change, delete) =
            if is_done { ("created", "changed", "deleted") } else { ("to create", "to change", "to delete") };
        write!(f, "accounts: {accounts}; groups {create}: {created}, {change}: {changed}, {delete}: {deleted}")?;
        writeln!(f, ", as they are to be: {unchanged}; accounts not done: {conflicts}")
    }
}

impl fmt::Display for AccountPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.account.label();
        match &self.outcome {
            None => {
                writeln!(f, "{label}")?;
                self.told.iter().try_for_each(|told| write!(f, "{told}"))?;
                self.rings.differ.iter().try_for_each(|differs| write!(f, "{differs}"))?;
                if self.rings.not_compared > 0 {
                    writeln!(f, "    rings by {} more groups are not compared", self.rings.not_compared)?;
                }
                self.changes.conflicts.iter().try_for_each(|conflict| writeln!(f, "  conflict: {conflict}"))
            }
            Some(Outcome::Written) => {
                let signs: Vec<String> = self.told.iter().map(Told::in_short).collect();
                writeln!(f, "{label}: {}", signs.join(", "))
            }
            Some(Outcome::Conflict { groups, left }) => {
                write!(f, "{label}: conflict: written by somebody else meanwhile: {}", groups.join(", "))?;
                writeln!(f, "; {}", Left(left))
            }
            Some(Outcome::Failed { reason, left }) => writeln!(f, "{label}: failed: {reason}; {}", Left(left)),
            Some(Outcome::NotBegun) => writeln!(f, "{label}: not begun, since the store failed"),
        }
    }
}

/// What is left of an account that was not done.
struct Left<'l>(&'l [String]);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("the account is as it was"),
            left => write!(f, "the account is half done, apply again: {} could not be put back", left.join(", ")),
        }
    }
}
