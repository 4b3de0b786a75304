//! The groups of an account that are deleted softly, read from a store.
//!
//! Kazoo deletes a group by `pvt_deleted`: all else of the document stays, and the fields of who wrote it last tell when it
//! was deleted and by whom. Nothing writes it afterwards. No view has them, so all documents of the account are looked at.

use std::collections::HashMap;

use futures::{TryStreamExt, pin_mut};
use serde::Serialize;

use crate::databases::{Error, documents};
use crate::document::{DocId, Document};
use crate::kazoo::account::AccountId;
use crate::kazoo::documents::{is_deleted, is_of_type, title};
use crate::kazoo::{group, time};
use crate::store::{self, Attachments, Store};

/// A group that is deleted softly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// How many endpoints it has.
    pub endpoints: usize,
    /// When it was deleted, as envelopes show times; None if its document does not tell.
    pub deleted: Option<String>,
    /// Who deleted it.
    pub by: By,
}

/// Whose token it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct By {
    /// The token's account.
    pub account: Option<String>,
    /// Its user; None if it spoke for the account itself.
    pub user: Option<String>,
    /// The user's name, if the user is still there.
    pub name: Option<String>,
}

/// The groups of an account that are deleted, the last deleted first; of those alone that are to be told, which `is_told` is
/// asked of each. The account's documents are read in batches, and those of the users who deleted them.
///
/// Errors: the store fails, or has no database of the account; or `is_told` says so.
pub async fn groups<E: From<Error>>(
    store: &dyn Store,
    account: AccountId,
    mut is_told: impl FnMut(&Document) -> Result<bool, E>,
) -> Result<Vec<Deleted>, E> {
    let database = account.database();
    let documents = documents(store, &database, Attachments::Named);
    pin_mut!(documents);
    let (mut found, mut names) = (Vec::new(), HashMap::new());
    while let Some(document) = documents.try_next().await? {
        let Some(id) = document.id().filter(|_| is_deleted_group(&document)) else { continue };
        if !is_told(&document)? {
            continue;
        }
        let by =
            By { account: document.text("pvt_auth_account_id"), user: document.text("pvt_auth_user_id"), name: None };
        let name = match names.get(&by).cloned() {
            Some(name) => name,
            None => names.entry(by.clone()).or_insert(name_of(store, &by).await.map_err(Error::from)?).clone(),
        };
        let when = document.integer("pvt_modified");
        let deleted = Deleted {
            id,
            name: document.text("name"),
            endpoints: group::endpoints(&document).count(),
            deleted: when.map(time::iso8601_of),
            by: By { name, ..by },
        };
        found.push((when, deleted));
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found.into_iter().map(|(_, deleted)| deleted).collect())
}

fn is_deleted_group(document: &Document) -> bool {
    is_deleted(document) && is_of_type(document, group::TYPE)
}

/// The name of a user who is still there.
async fn name_of(store: &dyn Store, by: &By) -> Result<Option<String>, store::Error> {
    let account = by.account.as_deref().and_then(|account| account.parse::<AccountId>().ok());
    let user = by.user.as_deref().and_then(|user| user.parse::<DocId>().ok());
    let Some((account, user)) = account.zip(user) else { return Ok(None) };
    let user = store.get(&account.database(), &user).await?;
    Ok(user.and_then(|user| title(&user)))
}
