//! What names a group, read from a store: all callflows, groups, users and devices of an account are looked at, batch by
//! batch, and none is kept that does not name it.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::aside::by_size;
use crate::document::Document;
use crate::kazoo::account::AccountId;
use crate::kazoo::used::{TYPES, UsedBy};
use crate::kazoo::views::BY_TYPE;
use crate::store::{self, Store};

/// How many documents are looked at.
pub const DOCUMENTS: usize = 100_000;

/// The account has more documents than are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {DOCUMENTS} callflows, groups, users and devices, or more of them name it than is told")]
pub struct TooMany;

/// All that names a group of an account.
///
/// `grow` is told how many more bytes are held, and may refuse.
///
/// Errors: the store fails, `grow` refuses, or [`TooMany`].
pub async fn used_by<E: From<store::Error> + From<TooMany>>(
    store: &dyn Store,
    account: AccountId,
    group: &str,
    grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<UsedBy, E> {
    let group: Arc<str> = group.into();
    let look_at = move |used: &mut UsedBy, document: &Document| used.look_at(document, &group);
    let used = looked_at(store, account, &TYPES, UsedBy::default(), look_at, UsedBy::bytes, grow).await?;
    if used.is_too_much() { Err(TooMany.into()) } else { Ok(used) }
}

/// Has each document of an account that is of these types looked at, and gives what became of `found` by it. After each batch
/// `grow` is told how many more bytes `found` has, and may refuse.
///
/// Errors: the store fails, `grow` refuses, or [`TooMany`].
pub async fn looked_at<T: Send + 'static, E: From<store::Error> + From<TooMany>>(
    store: &dyn Store,
    account: AccountId,
    types: &[&str],
    mut found: T,
    look_at: impl Fn(&mut T, &Document) + Clone + Send + 'static,
    bytes: impl Fn(&T) -> usize,
    mut grow: impl FnMut(usize) -> Result<(), E>,
) -> Result<T, E> {
    let database = account.database();
    let mut batches = store.listed(&database, &BY_TYPE, types).boxed();
    let mut seen = 0;
    while let Some(batch) = batches.try_next().await? {
        seen += batch.len();
        if seen > DOCUMENTS {
            return Err(TooMany.into());
        }
        let (size, look_at) = (batch.iter().map(|document| document.bytes()).sum(), look_at.clone());
        let before = bytes(&found);
        let look = move || {
            for document in &batch {
                look_at(&mut found, document);
            }
            found
        };
        found = by_size(size, look).await;
        grow(bytes(&found) - before)?;
    }
    Ok(found)
}
