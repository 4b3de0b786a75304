//! The changes of an account written: all of them, or none.
//!
//! CouchDB has no transaction over documents, so it is done in three steps. All groups are read in one request, and if one is
//! not what it was when the changes were made, nothing is written; nor is it if a group of a new one's name was made
//! meanwhile, for which the account's groups are listed once where the changes make any. Then they are written one after the other, each over
//! the revision that it was read with, which the store itself checks. If one of them meets a conflict or a fault, those that
//! were written before it are put back as they were, last first: each a new revision, and what was new softly deleted.
//! The same is done on every store.
//!
//! Who kills the process between two writes leaves the account half done until the plan is applied again: what is done is not
//! done twice, since a group that is as it is to be is left alone, and a new one has the same id every time. `_bulk_docs` would
//! make that moment shorter and not go away: CouchDB writes each of its documents by itself, and those that are written when it
//! is killed stay. Nodes of Kazoo are told of each group as it is written, which one request for all would not tell in order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use serde::Serialize;

use crate::document::{DbName, Document, Revision, json};
use crate::kazoo::documents::{self, Author, is_deleted, submitted};
use crate::kazoo::group;
use crate::kazoo::views::BY_TYPE;
use crate::store::{self, Store};

use super::changes::Change;

/// What became of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// All is as it is to be.
    Written,
    /// Somebody else wrote these groups meanwhile, or made them by the name of a new one. The account is as it was, but for `left`.
    Conflict {
        /// The groups' ids, or what is wrong with their revisions.
        groups: Vec<String>,
        /// The groups that could not be put back as they were.
        left: Vec<String>,
    },
    /// The store failed. The account is as it was, but for `left`.
    Failed {
        /// Why.
        reason: String,
        /// The groups that could not be put back as they were.
        left: Vec<String>,
    },
    /// Nothing was begun, since the store had failed before.
    NotBegun,
}

/// Writes an account's changes.
pub async fn write(store: &dyn Store, database: &DbName, changes: &[Change], author: &Author) -> Outcome {
    let writer = Writer { store, database, author };
    match writer.open(changes).await {
        Ok(open) => writer.write(open).await,
        Err(outcome) => outcome,
    }
}

struct Writer<'w> {
    store: &'w dyn Store,
    database: &'w DbName,
    author: &'w Author,
}

impl Writer<'_> {
    /// The changes that are not done yet.
    ///
    /// Errors: what has become of the account, if somebody else wrote it or the store failed.
    async fn open<'c>(&self, changes: &'c [Change]) -> Result<Vec<&'c Change>, Outcome> {
        let ids: Vec<_> = changes.iter().map(|change| change.id.clone()).collect();
        let failed = |error: store::Error| Outcome::Failed { reason: error.to_string(), left: Vec::new() };
        let found = self.store.get_many(self.database, &ids).await.map_err(failed)?;
        let found: HashMap<String, Arc<Document>> =
            found.into_iter().filter_map(|document| Some((document.id()?, document))).collect();
        let of = |change: &Change| found.get(change.id.as_str()).map(Arc::as_ref);
        let open: Vec<&Change> = changes.iter().filter(|change| !change.is_done(of(change))).collect();
        let is_other = |change: &&&Change| revision(change.before.as_deref()) != revision(of(change));
        let mut groups: Vec<String> = open.iter().filter(is_other).map(|change| change.id.to_string()).collect();
        if groups.is_empty() {
            groups = self.of_same_name(changes, &open).await.map_err(failed)?;
        }
        if groups.is_empty() { Ok(open) } else { Err(Outcome::Conflict { groups, left: Vec::new() }) }
    }

    /// The groups that have the name of one that is to be made: whoever made them did so after the plan.
    async fn of_same_name(&self, changes: &[Change], open: &[&Change]) -> store::Result<Vec<String>> {
        let made = open.iter().filter(|change| change.before.is_none());
        let names: HashSet<String> = made.filter_map(|change| change.after.text("name")).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let is_same = |group: &Arc<Document>| {
            let is_named = !is_deleted(group) && group.text("name").is_some_and(|name| names.contains(&name));
            is_named && changes.iter().all(|change| group.id().as_deref() != Some(change.id.as_str()))
        };
        let mut listed = self.store.listed(self.database, &BY_TYPE, &[group::TYPE]);
        let mut same = Vec::new();
        loop {
            match listed.try_next().await {
                Ok(Some(batch)) => {
                    same.extend(batch.iter().filter(|group| is_same(group)).filter_map(|group| group.id()));
                }
                Ok(None) => return Ok(same),
                // the plan itself needs no views
                Err(error @ store::Error::MissingView { .. }) => {
                    log::warn!("{}: groups of the same name are not looked for: {error}", self.database);
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(&self, open: Vec<&Change>) -> Outcome {
        let mut written: Vec<(&Change, Revision)> = Vec::new();
        for change in open {
            let error = match self.store.put(self.database, &change.after).await {
                Ok(revision) => {
                    written.push((change, revision));
                    continue;
                }
                Err(error) => error,
            };
            // an answer may have been lost, and somebody else may have applied the same plan
            let mut left = Vec::new();
            match self.store.get(self.database, &change.id).await {
                Ok(found) => {
                    let found = found.as_deref();
                    if let Some((found, revision)) = found.zip(revision(found))
                        && found.is_same_as(&change.after)
                    {
                        written.push((change, revision));
                        continue;
                    }
                    if change.is_done(found) {
                        continue;
                    }
                }
                // nobody knows whether it was written
                Err(_) => left.push(change.id.to_string()),
            }
            left.extend(self.undo(written).await);
            return match error {
                store::Error::Conflict => Outcome::Conflict { groups: vec![change.id.to_string()], left },
                error => Outcome::Failed { reason: error.to_string(), left },
            };
        }
        Outcome::Written
    }

    /// Puts groups back as they were, last first; gives those with which that was not possible.
    async fn undo(&self, written: Vec<(&Change, Revision)>) -> Vec<String> {
        let mut left = Vec::new();
        for (change, revision) in written.into_iter().rev() {
            let mut former = match &change.before {
                Some(before) => before.as_ref().clone(),
                None => change.after.clone(),
            };
            former.set("_rev", json::raw(&revision.to_string()));
            if change.before.is_none() {
                former = documents::delete(&former, self.author);
            }
            if self.store.put(self.database, &former).await.is_err() {
                left.push(change.id.to_string());
            }
        }
        left
    }
}

impl Change {
    /// Whether a group is as it is to be, whoever wrote it.
    fn is_done(&self, found: Option<&Document>) -> bool {
        match (is_deleted(&self.after), found) {
            (true, found) => found.is_none_or(is_deleted),
            (false, None) => false,
            (false, Some(found)) => {
                !is_deleted(found) && submitted(found.clone()).is_same_as(&submitted(self.after.clone()))
            }
        }
    }
}

fn revision(document: Option<&Document>) -> Option<Revision> {
    document.and_then(Document::revision)
}
