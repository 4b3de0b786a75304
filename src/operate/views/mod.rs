//! `views check` and `views install`: whether each database has the design documents that the service reads, whose
//! they are, and whether their views give the rows that are needed (`rows.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::databases::{Error, content, design_document, design_name};
use crate::document::{DbName, Document};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::views::{ALL, DESIGN_DOCUMENTS};
use crate::store::{self, DesignDocument, Server};

use super::rows::compare;
use super::{PARALLEL, counted, databases, write_lines, write_table};

pub use super::rows::{Rows, ViewRows};

/// Whose design document one is that the service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The one that this program installs.
    Ours,
    /// Another one that has the views: Kazoo's.
    Kazoo,
    /// Another one that lacks a view.
    Other,
    /// There is none.
    Missing,
    /// There was none, and ours was put there.
    Installed,
    /// There was another, and ours was put in its place.
    Replaced,
    /// None is needed: the store's views are native.
    Native,
}

impl Owner {
    const COLUMNS: [(Self, &str); 7] = [
        (Self::Ours, "ours"),
        (Self::Kazoo, "Kazoo's"),
        (Self::Other, "other"),
        (Self::Missing, "missing"),
        (Self::Installed, "installed"),
        (Self::Replaced, "replaced"),
        (Self::Native, "native"),
    ];

    /// Whether the service can do with it.
    fn is_well(self) -> bool {
        !matches!(self, Self::Other | Self::Missing)
    }
}

/// A design document that the service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Design {
    /// Its name, without `_design/`.
    pub name: &'static str,
    /// Whose it is.
    pub owner: Owner,
}

/// What was found in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The database.
    pub database: String,
    /// The design documents that the service needs there.
    pub designs: Vec<Design>,
    /// The names of the other design documents there, which are nothing to us.
    pub other_designs: Vec<String>,
    /// The views, if their rows were asked for.
    pub views: Vec<ViewRows>,
    /// Whether it is an account's database without the account's own document: to clients there is no such account.
    pub lacks_account: bool,
    /// Why it could not be looked at.
    pub error: Option<String>,
}

impl Found {
    /// Whether the service can do with what is there.
    pub fn is_well(&self) -> bool {
        self.error.is_none()
            && !self.lacks_account
            && self.designs.iter().all(|design| design.owner.is_well())
            && self.views.iter().all(|view| view.rows == Rows::Same)
    }
}

/// What was found in all databases, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each database.
    pub databases: Vec<Found>,
}

/// What it means that an account's database lacks the account's own document, and what to do.
pub(super) const LACKS_ACCOUNT: &str =
    "clients get 404 for the account; put a copy of its document in accounts there, without its _rev";

/// What is done with a database.
#[derive(Clone, Copy)]
enum Work<'w> {
    /// Only design documents are looked at.
    Look,
    /// Rows are compared too.
    Compare,
    /// Missing design documents are added, and those of these names replaced.
    Install { replace: &'w [String] },
}

/// Looks at the design documents of an account's database or, without one, of all accounts and of `accounts`, and
/// compares the rows of their views. Nothing is written.
///
/// Errors: the store fails, or has no `accounts`. What is wrong with one database is in the report.
pub async fn check(store: &dyn Server, only: Option<AccountId>, progress: &ProgressBar) -> Result<Report, Error> {
    run(store, only, Work::Compare, progress).await
}

/// Looks at the design documents alone, as [`check`] does.
pub async fn look(store: &dyn Server, only: Option<AccountId>, progress: &ProgressBar) -> Result<Report, Error> {
    run(store, only, Work::Look, progress).await
}

/// Adds the design documents that are missing. One that is there stays, whosever it is, unless `replace` has its name.
/// To do it again writes nothing.
///
/// Errors: as of [`check`].
pub async fn install(
    store: &dyn Server,
    only: Option<AccountId>,
    replace: &[String],
    progress: &ProgressBar,
) -> Result<Report, Error> {
    run(store, only, Work::Install { replace }, progress).await
}

async fn run(
    store: &dyn Server,
    only: Option<AccountId>,
    work: Work<'_>,
    progress: &ProgressBar,
) -> Result<Report, Error> {
    let databases = databases(store, only).await?;
    progress.set_length(databases.len() as u64);
    let found = stream::iter(databases).map(|database| async move {
        let found = look_at(store, &database, work).await.unwrap_or_else(|error| Found {
            database: database.to_string(),
            designs: Vec::new(),
            other_designs: Vec::new(),
            views: Vec::new(),
            lacks_account: false,
            error: Some(error.to_string()),
        });
        progress.inc(1);
        found
    });
    let mut databases: Vec<Found> = found.buffer_unordered(PARALLEL).collect().await;
    progress.finish_and_clear();
    databases.sort_by(|one, other| one.database.cmp(&other.database));
    Ok(Report { databases })
}

async fn look_at(store: &dyn Server, database: &DbName, work: Work<'_>) -> Result<Found, Error> {
    let there = store.design_documents(database).await?.ok_or_else(|| Error::NotThere(database.clone()))?;
    let mut designs = Vec::new();
    for ours in DESIGN_DOCUMENTS.iter().filter(|design| (design.holds)(database)) {
        let owner = match work {
            _ if store.has_native_views() => Owner::Native,
            Work::Install { replace } => install_one(store, database, ours, &there, replace).await?,
            Work::Look | Work::Compare => owner_of(ours, design_document(&there, ours.name)),
        };
        designs.push(Design { name: ours.name, owner });
    }
    let names = there.iter().filter_map(design_name);
    let other_designs = names.filter(|name| designs.iter().all(|design| design.name != name)).collect();
    let views = match work {
        Work::Compare => compare(store, database).await?,
        Work::Look | Work::Install { .. } => Vec::new(),
    };
    let lacks_account = match (work, AccountId::of_database(database)) {
        (Work::Look | Work::Compare, Some(account)) => {
            let document = store.get(database, &account.document_id()).await?;
            document.and_then(|document| Account::of_document(account, &document)).is_none()
        }
        _ => false,
    };
    Ok(Found { database: database.to_string(), designs, other_designs, views, lacks_account, error: None })
}

async fn install_one(
    store: &dyn Server,
    database: &DbName,
    ours: &DesignDocument,
    there: &[Document],
    replace: &[String],
) -> Result<Owner, Error> {
    let found = design_document(there, ours.name);
    let owner = owner_of(ours, found);
    let done = match owner {
        Owner::Missing => Owner::Installed,
        Owner::Kazoo | Owner::Other if replace.iter().any(|name| name == ours.name) => Owner::Replaced,
        _ => return Ok(owner),
    };
    let mut document = content(ours)?;
    if let Some(revision) = found.and_then(|found| found.get("_rev")) {
        document.set("_rev", revision.to_owned());
    }
    match store.put_design(database, &document).await {
        Ok(_) => Ok(done),
        // somebody else was faster, and theirs stays
        Err(store::Error::Conflict) => {
            let there = store.design_documents(database).await?.unwrap_or_default();
            Ok(owner_of(ours, design_document(&there, ours.name)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a design document is one that this program installs: a store's own business, which needs no carrying.
pub(super) fn is_ours(document: &Document) -> bool {
    let is_ours = |ours: &DesignDocument| owner_of(ours, Some(document)) == Owner::Ours;
    design_name(document).is_some() && DESIGN_DOCUMENTS.iter().any(is_ours)
}

fn owner_of(ours: &DesignDocument, found: Option<&Document>) -> Owner {
    let Some(found) = found else { return Owner::Missing };
    if content(ours).is_ok_and(|ours| ours.is_same_as(found)) {
        return Owner::Ours;
    }
    let views = found.get("views").and_then(Document::from_raw).unwrap_or_default();
    let mut needed = ALL.iter().filter(|view| view.design == ours.name);
    if needed.all(|view| views.contains(view.name)) { Owner::Kazoo } else { Owner::Other }
}

impl Report {
    /// Whether the service can do with what is in every database.
    pub fn is_well(&self) -> bool {
        self.databases.iter().all(Found::is_well)
    }

    /// How many databases lack a design document, or a view of one.
    pub fn lacking(&self) -> usize {
        self.databases.iter().filter(|found| found.designs.iter().any(|design| !design.owner.is_well())).count()
    }

    fn designs(&self) -> Vec<Vec<String>> {
        let all = || self.databases.iter().flat_map(|found| &found.designs);
        let columns: Vec<_> = Owner::COLUMNS
            .into_iter()
            .filter(|(owner, _)| *owner <= Owner::Missing || all().any(|design| design.owner == *owner))
            .collect();
        let header = columns.iter().map(|(_, title)| (*title).to_owned());
        let mut rows = vec![["design document".to_owned()].into_iter().chain(header).collect()];
        for needed in DESIGN_DOCUMENTS.iter().filter(|needed| all().any(|design| design.name == needed.name)) {
            let count = |owner| all().filter(|design| design.name == needed.name && design.owner == owner).count();
            let counts = columns.iter().map(|(owner, _)| count(*owner).to_string());
            rows.push([needed.name.to_owned()].into_iter().chain(counts).collect());
        }
        rows
    }

    fn views(&self) -> Vec<Vec<String>> {
        let mut counts: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
        for view in self.databases.iter().flat_map(|found| &found.views) {
            let column = match &view.rows {
                Rows::Same => 0,
                Rows::Different(_) => 1,
                Rows::Missing => 2,
                Rows::Failed(_) => 3,
            };
            counts.entry(&view.view).or_default()[column] += 1;
        }
        let header = ["view", "same rows", "different", "missing", "failed"].map(str::to_owned).to_vec();
        let rows = counts.into_iter().map(|(view, counts)| {
            [view.to_owned()].into_iter().chain(counts.iter().map(ToString::to_string)).collect()
        });
        [header].into_iter().chain(rows).collect()
    }

    /// The names of design documents that are not ours and have a view of other rows.
    fn giving_other_rows(&self) -> BTreeSet<&'static str> {
        let of = |found: &Found| {
            let is_other = |design: &Design| {
                let views = found.views.iter().filter(|view| matches!(view.rows, Rows::Different(_)));
                let mut designs = views.filter_map(|view| view.view.split('/').next());
                design.owner != Owner::Ours && designs.any(|name| name == design.name)
            };
            found.designs.iter().filter(|design| is_other(design)).map(|design| design.name).collect::<Vec<_>>()
        };
        self.databases.iter().flat_map(of).collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for found in &self.databases {
            let database = &found.database;
            problems.extend(found.error.iter().map(|error| format!("{database}: {error}")));
            if found.lacks_account {
                problems.push(format!("{database}: the account's own document is missing: {LACKS_ACCOUNT}"));
            }
            for design in &found.designs {
                let name = design.name;
                match design.owner {
                    Owner::Missing => problems.push(format!("{database}: no design document {name}")),
                    Owner::Other => problems.push(format!("{database}: the design document {name} lacks views")),
                    _ => {}
                }
            }
            for ViewRows { view, rows } in &found.views {
                match rows {
                    Rows::Different(of) => {
                        problems.push(format!("{database}: other rows in {view}, as of documents {}", of.join(", ")));
                    }
                    Rows::Failed(reason) => problems.push(format!("{database}: {view}: {reason}")),
                    Rows::Same | Rows::Missing => {}
                }
            }
        }
        problems
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", counted(self.databases.len(), "database"))?;
        write_table(f, &self.designs())?;
        let views = self.views();
        if views.len() > 1 {
            writeln!(f)?;
            write_table(f, &views)?;
        }
        let is_there =
            |owner| self.databases.iter().flat_map(|found| &found.designs).any(|design| design.owner == owner);
        if is_there(Owner::Native) {
            writeln!(f, "\nThe store is embedded: its views are native, and need no design documents.")?;
        }
        let problems = self.problems();
        if !problems.is_empty() {
            writeln!(f)?;
            write_lines(f, &problems)?;
        }
        if is_there(Owner::Missing) {
            writeln!(f, "\n`crossbar-groups views install` adds what is missing.")?;
        }
        if is_there(Owner::Other) {
            writeln!(f, "\n`views install --replace NAME` puts ours in the place of a design document.")?;
        }
        for name in self.giving_other_rows() {
            writeln!(
                f,
                "\n{name} is not as Kazoo 4.3 has it: `crossbar-groups views install --replace {name}` puts ours in its \
                 place, which gives Kazoo's own nodes the rows that they expect too."
            )?;
        }
        Ok(())
    }
}
