//! Finding whose a secret is: credentials of users, API keys of accounts; and which accounts a sign-in names.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures::{StreamExt, TryStreamExt};

use crate::document::{DbName, DocId, Document};
use crate::kazoo::account::AccountId;
use crate::store::{self, Query, Row, Store, View};

/// How many rows of one key are looked at: accounts of one name, users of one secret.
const ROWS: usize = 10;

/// The first rows of a key, which may be a secret. The view finds them as it collates texts, which takes some for equal
/// that are not; here they are compared byte by byte, in constant time.
pub(super) async fn rows_of(store: &dyn Store, database: &DbName, view: &View, key: &str) -> store::Result<Vec<Row>> {
    let query = Query::of_key(key).batch(ROWS);
    let mut rows: Vec<Row> = store.rows(database, view, query).take(ROWS).try_collect().await?;
    rows.retain(|row| verify_slices_are_equal(row.key.as_bytes(), key.as_bytes()).is_ok());
    Ok(rows)
}

/// The user whose row of credentials this is.
pub(super) fn user_of(row: &Row) -> Option<DocId> {
    Document::from_raw(&row.value)?.text("owner_id")?.parse().ok()
}

/// The account of a row of accounts.
pub(super) fn account_of(row: &Row) -> Option<AccountId> {
    Document::from_raw(&row.value)?.text("account_id")?.parse().ok()
}
