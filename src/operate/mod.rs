//! What operators do beside a running service and Kazoo's own nodes: [`views`], [`doctor`], [`audit`], [`migrate`],
//! [`databases`](mod@databases), [`undo`].
//!
//! Each command is a function over a [`Server`] that gives a report: a value that is shown to people (`Display`) and to
//! scripts (JSON). Whatever is wrong with one database stands in its place of the report and stops no other. A command that is
//! stopped midway can be started again.

pub mod audit;
pub mod databases;
pub mod doctor;
pub mod migrate;
pub mod undo;
pub mod views;

use std::fmt;

use futures::{TryStreamExt, pin_mut};
use indicatif::{ProgressBar, ProgressStyle};

use crate::databases::{Error, documents};
use crate::document::{DbName, Document};
use crate::kazoo::account::{ACCOUNTS, Account, AccountId};
use crate::store::{Attachments, Server};

/// How many databases are worked on at a time.
pub(crate) const PARALLEL: usize = 16;

/// How many lines of details people are shown; the JSON has all.
const SHOWN: usize = 50;

/// A bar that shows how many databases are done; it draws nothing where standard error is no terminal.
pub fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} databases, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// The accounts that `accounts` holds and that are not deleted.
///
/// Errors: there is no such database, or the store fails.
pub async fn accounts(store: &dyn Server) -> Result<Vec<AccountId>, Error> {
    let database = DbName::fixed(ACCOUNTS);
    let documents = documents(store, &database, Attachments::Named);
    pin_mut!(documents);
    let mut accounts = Vec::new();
    while let Some(document) = documents.try_next().await? {
        accounts.extend(account_of(&document));
    }
    Ok(accounts)
}

/// Whether a store has any account: the database of one, or one that `accounts` holds. It is asked until one is found.
///
/// Errors: the store fails.
pub async fn has_account(store: &dyn Server) -> Result<bool, Error> {
    // not every user may ask a CouchDB for its databases
    if store.databases().await.is_ok_and(|names| names.iter().any(|name| AccountId::of_database(name).is_some())) {
        return Ok(true);
    }
    let database = DbName::fixed(ACCOUNTS);
    let documents = documents(store, &database, Attachments::Named);
    pin_mut!(documents);
    loop {
        match documents.try_next().await {
            Ok(Some(document)) if account_of(&document).is_some() => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) | Err(Error::NotThere(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// The account whose document this is; None if it is another document, or the account is deleted.
fn account_of(document: &Document) -> Option<AccountId> {
    let id = document.id()?.parse().ok()?;
    Account::of_document(id, document).map(|account| account.id)
}

/// The databases that a command looks at: that of one account, or `accounts` and those of all accounts.
async fn databases(store: &dyn Server, only: Option<AccountId>) -> Result<Vec<DbName>, Error> {
    match only {
        Some(account) => Ok(vec![account.database()]),
        None => {
            let accounts = accounts(store).await?;
            let databases = accounts.iter().map(AccountId::database);
            Ok([DbName::fixed(ACCOUNTS)].into_iter().chain(databases).collect())
        }
    }
}

/// `1 database`, `2 databases`.
fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Writes rows of cells in columns, the first to the left and the others to the right.
fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(f, "{cell:<width$}")?,
                _ => write!(f, "  {cell:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Writes the first of many lines, and how many more there are.
fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    lines.iter().take(SHOWN).try_for_each(|line| writeln!(f, "{line}"))?;
    match lines.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(f, "… and {more} more: --json tells all"),
    }
}
