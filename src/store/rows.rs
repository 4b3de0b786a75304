//! A view's rows as a stream, read from the store in batches.

use futures::stream::{self, Stream, TryStreamExt};

use crate::document::DbName;

use super::{Query, Result, Row, Select, Store, View};

/// Where a batch ended: its last row, and how many rows of that row's key there were up to it.
struct Seen {
    key: String,
    id: String,
    of_key: usize,
}

/// The rows that a query selects, to the last: `query.limit` is how many are asked for at a time.
///
/// A batch goes on from the last row of the one before: under [`Select::From`] by its key, leaving out the rows of
/// that key which were there; under [`Select::Key`] by its document's id.
pub fn rows<'a>(
    store: &'a dyn Store,
    database: &'a DbName,
    view: &'a View,
    query: Query,
) -> impl Stream<Item = Result<Row>> + 'a {
    let first = Some((query, None::<Seen>));
    stream::try_unfold(first, move |state| async move {
        let Some((query, seen)) = state else { return Ok(None) };
        let repeated = seen.as_ref().map_or(0, |seen| seen.of_key);
        let asked = Query { limit: query.limit.saturating_add(repeated), ..query.clone() };
        let mut batch = store.query(database, view, &asked).await?;
        let is_last = batch.len() < asked.limit;
        let by_id = matches!(query.select, Select::Key(..));
        if let Some(seen) = &seen {
            let was_there = |row: &&Row| row.key == seen.key && (!by_id || row.id == seen.id);
            let repeated = batch.iter().take(repeated).take_while(was_there).count();
            batch.drain(..repeated);
        }
        let next = batch.last().filter(|_| !is_last).map(|row| {
            let select = match &query.select {
                Select::From(_) => Select::From(Some(row.key.clone())),
                Select::Key(key, _) => Select::Key(key.clone(), Some(row.id.clone())),
            };
            let in_batch = batch.iter().rev().take_while(|other| other.key == row.key).count();
            let before = seen.filter(|seen| in_batch == batch.len() && seen.key == row.key);
            let of_key = if by_id { 1 } else { in_batch + before.map_or(0, |seen| seen.of_key) };
            (Query { select, ..query }, Some(Seen { key: row.key.clone(), id: row.id.clone(), of_key }))
        });
        Ok(Some((stream::iter(batch.into_iter().map(Ok)), next)))
    })
    .try_flatten()
}
