//! `groups deleted` and `groups restore`: what was deleted softly, and how it is brought back.

use std::fmt;

use serde::Serialize;

use crate::databases::Error;
use crate::deleted::{self, By, Deleted};
use crate::document::{DbName, DocId, Document, Revision};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{TYPE, is_of_type, undelete};
use crate::kazoo::group;
use crate::store::{self, Store};
use crate::world::World;

use super::{counted, write_lines};

/// The deleted groups of an account, the last deleted first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each group.
    pub groups: Vec<Deleted>,
}

/// What became of a group that was to be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The group.
    pub id: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was done with a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is there again.
    Restored {
        /// Its name.
        name: Option<String>,
        /// Its new revision.
        revision: String,
    },
    /// Nothing: it is not deleted.
    NotDeleted,
    /// Nothing: there is no such document, or none any more.
    Missing,
    /// Nothing: it is another kind of document.
    NoGroup {
        /// Which.
        pvt_type: String,
    },
    /// Nothing, though it could be: another of those that were named can't.
    LeftAlone,
    /// Nothing: somebody else wrote it at the same time.
    Conflict,
    /// Nothing: the store failed.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What became of all that were to be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Each group.
    pub groups: Vec<Restored>,
}

/// Lists the groups of an account that are deleted softly.
///
/// Errors: the store fails, or has no database of the account.
pub async fn deleted(store: &dyn Store, account: AccountId) -> Result<Report, Error> {
    let groups = deleted::groups(store, account, |_| Ok::<_, Error>(true)).await?;
    Ok(Report { groups })
}

/// Brings groups back, each by a normal revision; a store with notices ([`notices::over`](crate::notices::over)) tells
/// Kazoo's nodes of it. All are looked at first, and where one can't be restored nothing is written.
///
/// Errors: the store fails before anything is written.
pub async fn restore(
    store: &dyn Store,
    account: AccountId,
    groups: &[DocId],
    world: World,
) -> Result<RestoreReport, store::Error> {
    let database = account.database();
    let mut planned: Vec<(&DocId, Result<Document, Outcome>)> = Vec::new();
    for (at, id) in groups.iter().enumerate() {
        // who is named twice is restored once
        if groups[..at].contains(id) {
            continue;
        }
        planned.push((id, plan(store, &database, id, world).await?));
    }
    let is_possible = planned.iter().all(|(_, plan)| plan.is_ok());
    let mut report = RestoreReport { groups: Vec::new() };
    for (id, plan) in planned {
        let outcome = match plan {
            Err(refused) => refused,
            Ok(_) if !is_possible => Outcome::LeftAlone,
            Ok(document) => match store.put(&database, &document).await {
                Ok(revision) => restored(&document, &revision),
                Err(store::Error::Conflict) => Outcome::Conflict,
                Err(error) => Outcome::Failed { reason: error.to_string() },
            },
        };
        report.groups.push(Restored { id: id.to_string(), outcome });
    }
    Ok(report)
}

fn restored(document: &Document, revision: &Revision) -> Outcome {
    Outcome::Restored { name: document.text("name"), revision: revision.to_string() }
}

/// The group as it is to be written, or why it can't be restored.
async fn plan(
    store: &dyn Store,
    database: &DbName,
    id: &DocId,
    world: World,
) -> Result<Result<Document, Outcome>, store::Error> {
    let found = store.get(database, id).await?.filter(|found| !found.is_true("_deleted"));
    let Some(found) = found else { return Ok(Err(Outcome::Missing)) };
    if !is_of_type(&found, group::TYPE) {
        let pvt_type = found.text(TYPE).unwrap_or_else(|| "document".to_owned());
        return Ok(Err(Outcome::NoGroup { pvt_type }));
    }
    Ok(undelete(&found, world.gregorian_seconds()).ok_or(Outcome::NotDeleted))
}

impl RestoreReport {
    /// Whether all are there again.
    pub fn is_well(&self) -> bool {
        self.groups.iter().all(|of| matches!(of.outcome, Outcome::Restored { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.groups.iter().map(ToString::to_string).collect();
        write_lines(f, &lines)?;
        writeln!(f, "{}", counted(self.groups.len(), "deleted group"))
    }
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, endpoints, deleted, by } = self;
        let name = name.as_deref().unwrap_or("(no name)");
        let deleted = deleted.as_deref().unwrap_or("at a time that is not told");
        write!(f, "{id}  {name}, {}, deleted {deleted} by {by}", counted(*endpoints, "endpoint"))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.name) {
            (Some(user), Some(name)) => write!(f, "{name} (user {user}")?,
            (Some(user), None) => write!(f, "a user ({user}")?,
            (None, _) if self.account.is_some() => write!(f, "an API key (")?,
            (None, _) => return write!(f, "nobody who is told"),
        }
        match (&self.user, &self.account) {
            (Some(_), Some(account)) => write!(f, " of account {account})"),
            (None, Some(account)) => write!(f, "of account {account})"),
            (_, None) => write!(f, ")"),
        }
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.groups.iter().try_for_each(|restored| writeln!(f, "{restored}"))
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.id;
        match &self.outcome {
            Outcome::Restored { name, revision } => {
                write!(f, "{id}: {} is there again, as {revision}", name.as_deref().unwrap_or("it"))
            }
            Outcome::NotDeleted => write!(f, "{id}: not restored: it is not deleted"),
            Outcome::Missing => write!(
                f,
                "{id}: not restored: there is no such document; what was deleted for good comes back from a backup alone"
            ),
            Outcome::NoGroup { pvt_type } => write!(f, "{id}: not restored: it is a {pvt_type}, and no group"),
            Outcome::LeftAlone => write!(f, "{id}: not restored, since another can't be: leave that one out"),
            Outcome::Conflict => write!(f, "{id}: not restored: somebody else wrote it meanwhile; try again"),
            Outcome::Failed { reason } => write!(f, "{id}: not restored: {reason}"),
        }
    }
}
