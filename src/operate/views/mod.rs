//! `views check` and `views install`: whether each database has the design documents that the service reads, whose
//! they are, and whether their views give the rows that are needed (`rows.rs`).

mod report;
mod rows;

use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;

use crate::databases::{Error, content, design_document, design_name};
use crate::document::{DbName, Document};
use crate::kazoo::account::{Account, AccountId};
use crate::kazoo::views::{ALL, DESIGN_DOCUMENTS};
use crate::store::{self, DesignDocument, Server};

use super::{PARALLEL, databases};

use rows::compare;

pub use report::{Design, Found, Owner, Report};
pub use rows::{Rows, ViewRows};

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
