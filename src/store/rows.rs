//! The rows of views: which are wanted, in which direction, and how a stream of them is read in batches.

use std::sync::Arc;

use futures::stream::{self, Stream};
use serde_json::value::RawValue;

use crate::document::Document;

use super::Result;

/// How many rows are read at a time, unless a query says otherwise.
const BATCH: usize = 1_000;

/// How many bytes of rows and their documents are read at a time, but for a single one that is larger.
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

/// How many times as many rows as before are read at a time at the most.
const GROWTH: usize = 4;

/// Sorts after every text that an id can be or go on with.
pub(super) const LAST: &str = "\u{10ffff}";

/// One row of a view.
#[derive(Debug, Clone)]
pub struct Row {
    /// The id of the document that emitted it.
    pub id: Arc<str>,
    /// The key that it was emitted with.
    pub key: Arc<str>,
    /// The value that it was emitted with.
    pub value: Arc<RawValue>,
    /// The document, if the query asked for documents.
    pub document: Option<Arc<Document>>,
}

impl Row {
    /// How many bytes it has, with its document.
    pub fn bytes(&self) -> usize {
        let document = self.document.as_ref().map_or(0, |document| document.bytes());
        self.id.len() + self.key.len() + self.value.get().len() + document
    }
}

/// A place among the rows of a view, which are ordered by key (as CouchDB collates texts), then by document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The key.
    pub key: String,
    /// The document's id; None stands for all rows of the key.
    pub id: Option<String>,
}

/// The direction in which rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the last.
    Ascending,
    /// From the last to the first.
    Descending,
}

/// A question to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The place of the first row in the view's order, itself included; None: that of all.
    pub first: Option<Place>,
    /// The place of the last row in the view's order, itself included; None: that of all.
    pub last: Option<Place>,
    /// Where reading begins.
    pub direction: Direction,
    /// How many rows are read at a time.
    pub batch: usize,
    /// Whether rows come with their documents.
    pub with_documents: bool,
}

impl Query {
    /// All rows.
    pub fn all() -> Self {
        Self { first: None, last: None, direction: Direction::Ascending, batch: BATCH, with_documents: false }
    }

    /// The rows from a key on.
    pub fn from_key(key: impl Into<String>) -> Self {
        Self { first: Some(Place { key: key.into(), id: None }), ..Self::all() }
    }

    /// The rows of one key.
    pub fn of_key(key: impl Into<String>) -> Self {
        let place = Some(Place { key: key.into(), id: None });
        Self { first: place.clone(), last: place, ..Self::all() }
    }

    /// The rows of one key, from a document on.
    pub fn of_key_from(key: impl Into<String>, id: impl Into<String>) -> Self {
        let of_key = Self::of_key(key);
        Self { first: of_key.first.map(|place| Place { id: Some(id.into()), ..place }), ..of_key }
    }

    /// The id of the first document of the first key: where all are wanted, what sorts before every id.
    pub(super) fn first_id(&self) -> &str {
        self.first.as_ref().and_then(|place| place.id.as_deref()).unwrap_or_default()
    }

    /// The id of the last document of the last key: where all are wanted, what sorts after every id.
    pub(super) fn last_id(&self) -> &str {
        self.last.as_ref().and_then(|place| place.id.as_deref()).unwrap_or(LAST)
    }

    /// The same rows, the last of them first.
    pub fn descending(self) -> Self {
        Self { direction: Direction::Descending, ..self }
    }

    /// The same rows, read so many at a time.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// The same rows with their documents.
    pub fn with_documents(self) -> Self {
        Self { with_documents: true, ..self }
    }

    /// The place where reading begins.
    pub(super) fn start(&self) -> Option<&Place> {
        match self.direction {
            Direction::Ascending => self.first.as_ref(),
            Direction::Descending => self.last.as_ref(),
        }
    }

    /// The same rows, but for those before a place in the direction of reading.
    fn starting_at(self, place: Place) -> Self {
        match self.direction {
            Direction::Ascending => Self { first: Some(place), ..self },
            Direction::Descending => Self { last: Some(place), ..self },
        }
    }
}

/// Some of a query's rows.
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// Whether no row comes after them.
    pub(super) is_last: bool,
}

/// All rows of a query, batch by batch. `read` gives the rows of a query in its order, at most as many as its batch, and as
/// many as the number beside it at least, if there are so many. At first no more than `first` are read, and then as many
/// as, by what the last ones were, make [`BATCH_BYTES`].
///
/// A batch begins with the last row of the one before, which is left out: it is found again by its key and document,
/// whatever was written between the two.
pub(super) fn in_batches<'a, F>(
    query: Query,
    first: usize,
    read: impl Fn(Query, usize) -> F + 'a,
) -> impl Stream<Item = Result<Vec<Row>>> + 'a
where
    F: Future<Output = Result<Batch>> + 'a,
{
    stream::try_unfold(Some((query, first, 0)), move |state| {
        let asked = state.map(|(query, size, repeated)| {
            let size = size.min(query.batch);
            let wanted = Query { batch: size.saturating_add(repeated), ..query.clone() };
            (read(wanted, repeated + 1), query, size, repeated)
        });
        async move {
            let Some((batch, query, size, repeated)) = asked else { return Ok(None) };
            let Batch { mut rows, is_last } = batch.await?;
            let is_at = |row: &Row, place: Option<&Place>| {
                place.is_some_and(|place| *place.key == *row.key && place.id.as_deref() == Some(&row.id))
            };
            if repeated > 0 {
                let repeated = rows.iter().take(repeated).take_while(|row| is_at(row, query.start())).count();
                rows.drain(..repeated);
            }
            let next = rows.last().filter(|_| !is_last).map(|row| {
                let place = Place { key: row.key.to_string(), id: Some(row.id.to_string()) };
                // a document may emit a key more than once
                let repeated = rows.iter().rev().take_while(|row| is_at(row, Some(&place))).count();
                (query.starting_at(place), next_size(size, &rows), repeated)
            });
            Ok(Some((rows, next)))
        }
    })
}

/// How many rows are read after these: as many as would have [`BATCH_BYTES`], if they are alike, but not many more.
fn next_size(size: usize, rows: &[Row]) -> usize {
    let bytes: usize = rows.iter().map(Row::bytes).sum();
    let alike = BATCH_BYTES.saturating_mul(rows.len()) / bytes.max(1);
    alike.clamp(1, size.saturating_mul(GROWTH))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::stream::TryStreamExt;

    use crate::document::json;

    use super::*;

    /// The sizes of the batches in which 300 rows of so many bytes are read.
    async fn sizes(bytes: usize) -> Vec<usize> {
        let value: Arc<RawValue> = Arc::from(json::raw(&"x".repeat(bytes)));
        let read = Mutex::new((0, Vec::new()));
        let batches = in_batches(Query::all().batch(200), 4, async |query, least| {
            let (from, sizes) = &mut *read.lock().unwrap();
            // but for the first time, the last row comes again
            *from -= least - 1;
            let to = (*from + query.batch).min(300);
            let id = |number: usize| format!("{number:03}");
            let row = |number| Row {
                id: id(number).into(),
                key: id(number).into(),
                value: Arc::clone(&value),
                document: None,
            };
            let rows: Vec<Row> = (*from..to).map(row).collect();
            *from = to;
            sizes.push(query.batch);
            Ok(Batch { rows, is_last: to == 300 })
        });
        let rows: Vec<Row> = batches.try_concat().await.unwrap();
        assert!(rows.iter().map(|row| row.id.parse::<usize>().unwrap()).eq(0..300));
        read.into_inner().unwrap().1
    }

    #[tokio::test]
    async fn as_many_rows_are_read_at_a_time_as_there_is_room_for() {
        // each batch but the first has one row of the one before
        assert_eq!(sizes(10).await, [4, 17, 65, 201, 201]);
        assert_eq!(sizes(BATCH_BYTES / 20).await[..3], [4, 17, 20]);
        assert_eq!(sizes(2 * BATCH_BYTES).await[..3], [4, 2, 2]);
    }
}
