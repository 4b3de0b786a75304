//! `audit`: what Kazoo leaves behind in accounts' databases, and what of groups and callflows rings otherwise than it
//! seems; with `--fix` the members of groups mended of which nothing is to be guessed.
//!
//! A database is read once, page by page; what is named and was not met is asked for once more, in one request.

mod fault;
mod fix;
mod ringing;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::pin_mut;
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::aside::by_size;
use crate::databases::{Error, documents};
use crate::document::{DbName, DocId, Document};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{is_deleted, is_of_type};
use crate::kazoo::{group, views};
use crate::store::{Attachments, Server, View};

use super::{PARALLEL, account_of, counted, databases, write_lines};

pub use fault::{Affected, Fault, Kind, Target};
pub use fix::{Mended, Outcome, fix};

use ringing::Account;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many databases were looked at.
    pub databases: usize,
    /// The faults, by database and document.
    pub faults: Vec<Fault>,
}

/// What was found in one database.
#[derive(Default)]
struct Found {
    faults: Vec<Fault>,
    /// Digests of the ids of its users, devices and groups.
    ids: Vec<u64>,
}

/// Looks at an account's database or, without one, at all accounts' and at `accounts`. Nothing is written.
///
/// Errors: the store fails, or has no `accounts`. What is wrong with one database is in the report.
pub async fn audit(store: &dyn Server, only: Option<AccountId>, progress: &ProgressBar) -> Result<Report, Error> {
    let databases = databases(store, only).await?;
    progress.set_length(databases.len() as u64);
    let looked_at = databases.len();
    let found = stream::iter(databases).map(|database| async move {
        let found = audit_database(store, &database).await.unwrap_or_else(|error| {
            let kind = Kind::Unreadable { reason: error.to_string() };
            let fault = Fault { database: database.clone(), document: None, kind, affected: Vec::new() };
            Found { faults: vec![fault], ids: Vec::new() }
        });
        progress.inc(1);
        (database, found)
    });
    let mut found: Vec<(DbName, Found)> = found.buffer_unordered(PARALLEL).collect().await;
    let mut faults: Vec<Fault> = found.iter_mut().flat_map(|(_, found)| std::mem::take(&mut found.faults)).collect();
    if only.is_none() {
        name_other_accounts(store, &found, &mut faults).await;
    }
    progress.finish_and_clear();
    faults.sort();
    Ok(Report { databases: looked_at, faults })
}

async fn audit_database(store: &dyn Server, database: &DbName) -> Result<Found, Error> {
    let account = AccountId::of_database(database);
    let mut kinds = Vec::new();
    let mut ringing = account.map(Account::new);
    let mut has_own = false;
    let all = documents(store, database, Attachments::Named);
    pin_mut!(all);
    while let Some(document) = all.try_next().await? {
        let Some(id) = document.id() else { continue };
        kinds.extend(conflict(&document).map(|kind| (id.clone(), kind, Vec::new())));
        if id.starts_with('_') {
            continue;
        }
        // in `accounts`, each document is of the account that it is a copy of
        if let Some(account) = account.or_else(|| account_of(&document)) {
            kinds.extend(of_another_account(&document, account).map(|kind| (id.clone(), kind, Vec::new())));
        }
        let Some(ringing) = &mut ringing else { continue };
        has_own |= account.is_some_and(|account| is_own(account, &id, &document));
        if let Some(view) = skipping_view(&document) {
            kinds.push((id, Kind::SkippedByView { view: format!("{}/{}", view.design, view.name) }, Vec::new()));
        }
        ringing.take(document);
    }
    if let Some(account) = account.filter(|_| !has_own) {
        kinds.push((account.to_string(), Kind::NoAccountDocument, Vec::new()));
    }
    let mut ids = Vec::new();
    if let Some(mut ringing) = ringing {
        // what was not there when its page was read may have come since
        let unknown: Vec<DocId> = ringing.unknown().iter().filter_map(|id| id.parse().ok()).collect();
        let late = if unknown.is_empty() { Vec::new() } else { store.get_many(database, &unknown).await? };
        for document in late {
            ringing.take_named(document);
        }
        ids.extend(ringing.ids().map(digest));
        kinds.extend(by_size(ringing.bytes(), move || ringing.faults()).await);
    }
    let fault =
        |(document, kind, affected)| Fault { database: database.clone(), document: Some(document), kind, affected };
    Ok(Found { faults: kinds.into_iter().map(fault).collect(), ids })
}

/// Says of endpoints that are nowhere in their account whose they are, if they are another's: digests tell where to look.
async fn name_other_accounts(store: &dyn Server, found: &[(DbName, Found)], faults: &mut [Fault]) {
    let all = found.iter().flat_map(|(database, found)| found.ids.iter().map(move |id| (*id, database)));
    let known: HashMap<u64, &DbName> = all.collect();
    for fault in faults {
        let Kind::DanglingEndpoint { endpoint, target: target @ Target::Missing, account, .. } = &mut fault.kind else {
            continue;
        };
        let Some(database) = known.get(&digest(endpoint)) else { continue };
        let Ok(id) = endpoint.parse::<DocId>() else { continue };
        // where that can't be read, it is missing here all the same
        if let Ok(Some(document)) = store.get(database, &id).await
            && !is_deleted(&document)
        {
            let owner = AccountId::of_database(database).map(|account| account.to_string());
            (*target, *account) = (Target::OtherAccount, owner);
        }
    }
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Whether documents of a type may be members of groups.
fn is_named_type(pvt_type: &str) -> bool {
    group::MEMBERS.contains(&pvt_type)
}

fn is_group(document: &Document) -> bool {
    !is_deleted(document) && is_of_type(document, group::TYPE)
}

/// Whether a document is the account's own, and not deleted.
fn is_own(account: AccountId, id: &str, document: &Document) -> bool {
    id == account.as_str() && !is_deleted(document)
}

fn conflict(document: &Document) -> Option<Kind> {
    let revisions: Vec<String> = serde_json::from_str(document.get("_conflicts")?.get()).ok()?;
    (!revisions.is_empty()).then_some(Kind::Conflict { revisions })
}

/// What of a document says that it is another account's. Old documents say nothing.
fn of_another_account(document: &Document, account: AccountId) -> impl Iterator<Item = Kind> {
    let said = |key: &str| document.get(key).map(|raw| document.text(key).unwrap_or_else(|| raw.get().to_owned()));
    let id = said("pvt_account_id").filter(|found| found != account.as_str());
    let database = said("pvt_account_db").filter(|found| !account.is_database(found));
    let id = id.map(|found| Kind::WrongAccountId { found });
    id.into_iter().chain(database.map(|found| Kind::WrongAccountDb { found }))
}

/// The view that should have rows of a group that is there, and has none.
fn skipping_view(group: &Document) -> Option<View> {
    if !is_group(group) {
        return None;
    }
    let has_rows = |view: &View| {
        let mut rows = 0;
        (view.map)(group, &mut |_, _| rows += 1);
        rows > 0
    };
    if !has_rows(&views::GROUPS) {
        return Some(views::GROUPS);
    }
    let has_users = group::endpoints(group).any(|(_, names)| names.as_deref() == Some(group::USER));
    (has_users && !has_rows(&views::GROUPS_BY_USER)).then_some(views::GROUPS_BY_USER)
}

impl Report {
    /// How many members [`fix`] would mend, and of how many groups.
    pub fn mendable(&self) -> (usize, usize) {
        let mendable = self.faults.iter().filter(|fault| fault.kind.mendable().is_some());
        let groups: HashSet<_> = mendable.clone().map(|fault| (&fault.database, &fault.document)).collect();
        (mendable.count(), groups.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write_lines(f, &lines)?;
        writeln!(f, "{}, {}", counted(self.databases, "database"), counted(self.faults.len(), "fault"))
    }
}
