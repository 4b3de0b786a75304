//! Groups of many accounts as a file says that they are to be: [`plan`] tells what is to be done, [`apply`] does it, and
//! [`export()`] writes the file of what is there.
//!
//! A [`mod@file`] (YAML or JSON, a tree of [`node`]s) is looked up in the [`accounts`] that there are and in what is
//! [`known`] of each, which makes [`changes`]; these are [`told`], with what [`rings`] differently, and are written
//! ([`mod@write`]). All that has to do with a store is here, in `accounts`, `known` and `write`; everything else is pure.

pub mod accounts;
pub mod changes;
pub mod export;
pub mod file;
pub mod known;
pub mod node;
pub mod problem;
#[cfg(test)]
mod properties;
pub mod report;
pub mod rings;
pub mod told;
pub mod write;

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::pin_mut;
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;

use crate::databases;
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::Author;
use crate::operate::PARALLEL;
use crate::store::{self, Server, Store};

use accounts::Accounts;
use changes::Rules;
use export::Form;
use file::{AccountEntry, PlanFile};
use known::Known;
use problem::{Problem, Problems};
use report::{AccountPlan, Report};
use write::Outcome;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is wrong.
    #[error("{0}")]
    Problems(Problems),
    /// The store failed, or has no `accounts`.
    #[error(transparent)]
    Database(#[from] databases::Error),
    /// What was exported can't be written.
    #[error("can't write: {0}")]
    Output(#[from] io::Error),
}

/// A run of the program, as the documents that it writes tell it.
#[derive(Debug, Clone)]
pub struct Run {
    /// What stands as the id of a request.
    pub id: String,
    /// When it is, in gregorian seconds.
    pub now: i64,
}

impl Run {
    /// Who writes an account's groups: the account itself, and none of its users.
    fn author(&self, account: AccountId) -> Author {
        Author { account, auth_account: account, auth_user: None, request_id: self.id.clone(), now: self.now }
    }
}

/// Says what is to be done so that all is as a file says, 16 accounts at a time. Nothing is written.
///
/// Errors: all that is wrong with the file, or the store fails.
pub async fn plan(
    store: &dyn Server,
    file: &PlanFile,
    rules: Rules<'_>,
    run: &Run,
    progress: &ProgressBar,
) -> Result<Report, Error> {
    let accounts = Accounts::read(store).await?;
    let (mut problems, mut wanted, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for entry in &file.accounts {
        match accounts.find(&entry.account).one(entry.line, "account", &entry.account, "") {
            Err(problem) => problems.push(problem),
            Ok(account) if !seen.insert(account.id) => {
                problems.push(Problem::new(entry.line, format!("the account {} stands here twice", account.label())));
            }
            Ok(account) => wanted.push((entry, account)),
        }
    }
    progress.set_length(wanted.len() as u64);
    let plans = stream::iter(wanted).map(|(entry, account)| async move {
        let plan = plan_account(store, entry, account, rules, run).await;
        progress.inc(1);
        plan
    });
    let plans = plans.buffered(PARALLEL);
    pin_mut!(plans);
    let mut accounts = Vec::new();
    while let Some(plan) = plans.next().await {
        match plan {
            Ok(plan) => accounts.push(plan),
            Err(Error::Problems(of_account)) => problems.extend(of_account.problems),
            Err(error) => return Err(error),
        }
    }
    progress.finish_and_clear();
    if problems.is_empty() { Ok(Report { accounts }) } else { Err(Error::Problems(Problems::new(problems))) }
}

async fn plan_account(
    store: &dyn Server,
    entry: &AccountEntry,
    account: &accounts::Known,
    rules: Rules<'_>,
    run: &Run,
) -> Result<AccountPlan, Error> {
    let wrong = |problems| Error::Problems(Problems { problems });
    let known = match Known::read(store, account.id).await {
        Ok(known) => known,
        Err(missing @ (databases::Error::NotThere(_) | databases::Error::Store(store::Error::MissingDatabase(_)))) => {
            return Err(wrong(vec![Problem::new(entry.line, missing.to_string())]));
        }
        Err(error) => return Err(error.into()),
    };
    let place = format!(" in {}", account.label());
    let changes = changes::changes(entry, &known, rules, &run.author(account.id), &place).map_err(wrong)?;
    let told = changes.changes.iter().map(|change| change.told(&known)).collect();
    let rings = rings::compare(&known, &changes.changes, run.now);
    Ok(AccountPlan { account: account.clone(), changes, told, rings, outcome: None })
}

/// Does what a plan says, 16 accounts at a time, and tells what became of each: an account is done whole or stays as it
/// was, and one with a conflict holds up no other. Once the store has failed no further account is begun.
pub async fn apply(store: &dyn Store, planned: Report, run: &Run, progress: &ProgressBar) -> Report {
    let (has_failed, accounts) = (AtomicBool::new(false), planned.accounts);
    progress.reset();
    progress.set_length(accounts.len() as u64);
    let applied = stream::iter(accounts).map(|mut plan| async {
        plan.outcome = Some(apply_account(store, &plan, run, &has_failed).await);
        progress.inc(1);
        plan
    });
    let accounts = applied.buffered(PARALLEL).collect().await;
    progress.finish_and_clear();
    Report { accounts }
}

async fn apply_account(store: &dyn Store, plan: &AccountPlan, run: &Run, has_failed: &AtomicBool) -> Outcome {
    if !plan.changes.conflicts.is_empty() {
        let groups = plan.changes.conflicts.iter().map(ToString::to_string).collect();
        return Outcome::Conflict { groups, left: Vec::new() };
    }
    if plan.changes.changes.is_empty() {
        return Outcome::Written;
    }
    if has_failed.load(Ordering::Relaxed) {
        return Outcome::NotBegun;
    }
    let (database, author) = (plan.account.id.database(), run.author(plan.account.id));
    let outcome = write::write(store, &database, &plan.changes.changes, &author).await;
    if matches!(outcome, Outcome::Failed { .. }) {
        has_failed.store(true, Ordering::Relaxed);
    }
    outcome
}

/// Writes the plan of the groups that are there, of all accounts or of those that are named. An account without a database
/// is left out, and the log says so.
///
/// Errors: an account is not there, the store fails, or `output` can't be written.
pub async fn export(
    store: &dyn Server,
    only: &[String],
    form: Form,
    output: &mut dyn Write,
    progress: &ProgressBar,
) -> Result<(), Error> {
    let accounts = Accounts::read(store).await?;
    let wanted: Vec<Result<&accounts::Known, Problem>> = match only {
        [] => accounts.all.iter().map(Ok).collect(),
        only => only.iter().map(|name| accounts.find(name).one(0, "account", name, "")).collect(),
    };
    let (found, problems): (Vec<_>, Vec<_>) = wanted.into_iter().partition(Result::is_ok);
    let problems: Vec<Problem> = problems.into_iter().filter_map(Result::err).collect();
    if !problems.is_empty() {
        return Err(Error::Problems(Problems::new(problems)));
    }
    let found: Vec<_> = found.into_iter().flatten().collect();
    progress.set_length(found.len() as u64);
    let known = stream::iter(&found).map(|account| async move { (account, Known::read(store, account.id).await) });
    let known = known.buffered(PARALLEL);
    pin_mut!(known);
    write!(output, "{}", form.head())?;
    let mut is_first = true;
    while let Some((account, known)) = known.next().await {
        progress.inc(1);
        let known = match known {
            Err(databases::Error::NotThere(database)) => {
                log::warn!("{}: there is no database {database}; it is left out", account.label());
                continue;
            }
            known => known?,
        };
        write!(output, "{}", form.account(account, &known, is_first))?;
        is_first = false;
    }
    write!(output, "{}", form.tail(is_first))?;
    output.flush()?;
    progress.finish_and_clear();
    Ok(())
}
