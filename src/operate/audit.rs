//! `audit`: what Kazoo leaves behind in accounts' databases, and with `--fix` the groups' endpoints mended that name
//! what is no longer there.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use futures::pin_mut;
use futures::stream::{self, StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::databases::{Error, documents};
use crate::document::{DbName, DocId, Document, Revision};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{is_deleted, is_of_type};
use crate::kazoo::{group, views};
use crate::store::{self, Attachments, Server, Store, View};
use crate::world::World;

use super::{PARALLEL, account_of, counted, databases, write_lines};

/// The types of documents that a group's endpoints name.
const NAMED: [&str; 3] = [group::USER, "device", group::TYPE];

/// How many revisions of a conflict are named.
const REVISIONS: usize = 3;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The database.
    pub database: DbName,
    /// The document; None if it is the database itself.
    pub document: Option<String>,
    /// What is wrong with it.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Kind {
    /// A group's endpoint names a user, device or group that is not there any more.
    DanglingEndpoint {
        /// The endpoint's id.
        endpoint: String,
        /// What it says it names: user, device or group.
        names: String,
        /// What became of it.
        target: Target,
    },
    /// A group that is there is in no list, since a view's map function stumbles over its document.
    SkippedByView {
        /// The view's design document and its name.
        view: String,
    },
    /// `pvt_account_id` names another account.
    WrongAccountId {
        /// What it says.
        found: String,
    },
    /// `pvt_account_db` names another account's database.
    WrongAccountDb {
        /// What it says.
        found: String,
    },
    /// There are other revisions, which lost.
    Conflict {
        /// Those that lost.
        revisions: Vec<String>,
    },
    /// The database could not be looked at, or is not there.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// What became of the document that an endpoint names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// There is none.
    Missing,
    /// It is deleted softly.
    Deleted,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many databases were looked at.
    pub databases: usize,
    /// The faults, by database and document.
    pub faults: Vec<Fault>,
}

/// What became of a group that had dangling endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// The group's database.
    pub database: DbName,
    /// The group.
    pub document: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was done with a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The endpoints were removed.
    Removed {
        /// Which.
        endpoints: Vec<String>,
        /// The group's new revision.
        revision: String,
    },
    /// Nothing: what was wrong no longer is.
    NothingLeft,
    /// Nothing: somebody else wrote the group at the same time.
    Conflict,
    /// Nothing: the store failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Looks at an account's database or, without one, at all accounts' and at `accounts`. Nothing is written.
///
/// Errors: the store fails, or has no `accounts`. What is wrong with one database is in the report.
pub async fn audit(store: &dyn Server, only: Option<AccountId>, progress: &ProgressBar) -> Result<Report, Error> {
    let databases = databases(store, only).await?;
    progress.set_length(databases.len() as u64);
    let looked_at = databases.len();
    let faults = stream::iter(databases).map(|database| async move {
        let faults = audit_database(store, &database).await.unwrap_or_else(|error| {
            let kind = Kind::Unreadable { reason: error.to_string() };
            vec![Fault { database: database.clone(), document: None, kind }]
        });
        progress.inc(1);
        faults
    });
    let mut faults: Vec<Fault> = faults.buffer_unordered(PARALLEL).collect::<Vec<_>>().await.concat();
    progress.finish_and_clear();
    faults.sort();
    Ok(Report { databases: looked_at, faults })
}

async fn audit_database(store: &dyn Server, database: &DbName) -> Result<Vec<Fault>, Error> {
    let account = AccountId::of_database(database);
    let mut kinds = Vec::new();
    let mut live = HashSet::new();
    let mut endpoints = Vec::new();
    let all = documents(store, database, Attachments::Named);
    pin_mut!(all);
    while let Some(document) = all.try_next().await? {
        let Some(id) = document.id() else { continue };
        kinds.extend(conflict(&document).map(|kind| (id.clone(), kind)));
        if id.starts_with('_') {
            continue;
        }
        // in `accounts`, each document is of the account that it is a copy of
        if let Some(account) = account.or_else(|| account_of(&document)) {
            kinds.extend(of_another_account(&document, account).map(|kind| (id.clone(), kind)));
        }
        if account.is_none() {
            continue;
        }
        if is_group(&document) {
            kinds.extend(
                skipping_view(&document)
                    .map(|view| (id.clone(), Kind::SkippedByView { view: format!("{}/{}", view.design, view.name) })),
            );
            endpoints.extend(named_endpoints(&document).map(|(endpoint, names)| (id.clone(), endpoint, names)));
        }
        if !is_deleted(&document) {
            live.insert(id);
        }
    }
    for (group, endpoint, names) in endpoints {
        // what was not there when its page was read may have come since
        if !live.contains(&endpoint)
            && let Some(target) = lost_target(store, database, &endpoint).await?
        {
            kinds.push((group, Kind::DanglingEndpoint { endpoint, names, target }));
        }
    }
    let fault = |(document, kind)| Fault { database: database.clone(), document: Some(document), kind };
    Ok(kinds.into_iter().map(fault).collect())
}

fn is_group(document: &Document) -> bool {
    !is_deleted(document) && is_of_type(document, group::TYPE)
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

/// The endpoints that say what they name.
fn named_endpoints(group: &Document) -> impl Iterator<Item = (String, String)> {
    group::endpoints(group).filter_map(|(id, names)| Some((id, names.filter(|names| NAMED.contains(&&**names))?)))
}

/// What became of the document that an endpoint names; None if it is there.
async fn lost_target(store: &dyn Store, database: &DbName, id: &str) -> Result<Option<Target>, store::Error> {
    // what is no id names nothing
    let Ok(id) = id.parse::<DocId>() else { return Ok(Some(Target::Missing)) };
    Ok(match store.get(database, &id).await? {
        None => Some(Target::Missing),
        Some(document) if is_deleted(&document) => Some(Target::Deleted),
        Some(_) => None,
    })
}

/// Removes the dangling endpoints of a report from their groups, those that still dangle; a group's change is one new
/// revision. A store with notices ([`notices::over`](crate::notices::over)) tells Kazoo's nodes of it.
pub async fn fix(store: &dyn Store, report: &Report, world: World) -> Vec<Mended> {
    let mut groups: BTreeMap<(&DbName, &str), Vec<&str>> = BTreeMap::new();
    for fault in &report.faults {
        if let (Kind::DanglingEndpoint { endpoint, .. }, Some(document)) = (&fault.kind, &fault.document) {
            groups.entry((&fault.database, document)).or_default().push(endpoint);
        }
    }
    let mut mended = Vec::new();
    for ((database, group), endpoints) in groups {
        let outcome = match fix_group(store, database, group, &endpoints, world).await {
            Ok(Some((endpoints, revision))) => Outcome::Removed { endpoints, revision: revision.to_string() },
            Ok(None) => Outcome::NothingLeft,
            Err(store::Error::Conflict) => Outcome::Conflict,
            Err(error) => Outcome::Failed { reason: error.to_string() },
        };
        mended.push(Mended { database: database.clone(), document: group.to_owned(), outcome });
    }
    mended
}

async fn fix_group(
    store: &dyn Store,
    database: &DbName,
    group: &str,
    endpoints: &[&str],
    world: World,
) -> Result<Option<(Vec<String>, Revision)>, store::Error> {
    let Ok(id) = group.parse::<DocId>() else { return Ok(None) };
    let Some(group) = store.get(database, &id).await?.filter(|group| is_group(group)) else { return Ok(None) };
    let mut removed = Vec::new();
    for (endpoint, _) in named_endpoints(&group).filter(|(endpoint, _)| endpoints.contains(&&**endpoint)) {
        if lost_target(store, database, &endpoint).await?.is_some() {
            removed.push(endpoint);
        }
    }
    if removed.is_empty() {
        return Ok(None);
    }
    let mended = group::without_endpoints(&group, &removed, world.gregorian_seconds());
    let revision = store.put(database, &mended).await?;
    Ok(Some((removed, revision)))
}

impl Mended {
    /// Whether nothing is left to be done.
    pub fn is_well(&self) -> bool {
        matches!(self.outcome, Outcome::Removed { .. } | Outcome::NothingLeft)
    }
}

impl Report {
    /// How many endpoints [`fix`] would remove, and from how many groups.
    pub fn dangling(&self) -> (usize, usize) {
        let dangling = self.faults.iter().filter(|fault| matches!(fault.kind, Kind::DanglingEndpoint { .. }));
        let groups: HashSet<_> = dangling.clone().map(|fault| (&fault.database, &fault.document)).collect();
        (dangling.count(), groups.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write_lines(f, &lines)?;
        writeln!(f, "{}, {}", counted(self.databases, "database"), counted(self.faults.len(), "fault"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.database)?;
        if let Some(document) = &self.document {
            write!(f, " {document}")?;
        }
        match &self.kind {
            Kind::DanglingEndpoint { endpoint, names, target: Target::Missing } => {
                write!(f, ": endpoint {endpoint}: there is no such {names}")
            }
            Kind::DanglingEndpoint { endpoint, names, target: Target::Deleted } => {
                write!(f, ": endpoint {endpoint}: the {names} is deleted")
            }
            Kind::SkippedByView { view } => write!(f, ": the view {view} skips this group (look for a null in it)"),
            Kind::WrongAccountId { found } => write!(f, ": pvt_account_id is {found}"),
            Kind::WrongAccountDb { found } => write!(f, ": pvt_account_db is {found}"),
            Kind::Conflict { revisions } => {
                let shown = revisions.len().min(REVISIONS);
                let more = revisions.len().saturating_sub(REVISIONS);
                write!(f, ": revisions that lost a conflict: {}", revisions[..shown].join(", "))?;
                if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            Kind::Unreadable { reason } => write!(f, ": {reason}"),
        }
    }
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.database, self.document)?;
        match &self.outcome {
            Outcome::Removed { endpoints, revision } => {
                write!(f, "removed {}, now {revision}", endpoints.join(", "))
            }
            Outcome::NothingLeft => write!(f, "nothing to remove any more"),
            Outcome::Conflict => write!(f, "skipped: it was written by somebody else meanwhile; audit it again"),
            Outcome::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}
