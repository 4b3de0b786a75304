//! The rows of a view as they are read: those that the file has, and in the place of those that are behind their documents
//! what these have now. Who reads waits for nobody who writes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use redb::{AccessGuard, Range, ReadTransaction};
use serde_json::value::RawValue;

use crate::document::{DbName, Document};

use super::super::mapping::path;
use super::super::rows::{BATCH_BYTES, Batch};
use super::super::{Direction, Error, Place, Query, Result, Row, View};
use super::behind;
use super::file::File;
use super::layout::{
    DOCUMENTS, KeyAndNumber, ROWS, RowPlace, VALUES, corrupt, failed, number_of_database, number_of_view, stored,
};

/// A row of the file.
type Entry<'a> = (AccessGuard<'a, RowPlace>, AccessGuard<'a, KeyAndNumber>);

/// Where the rows of a query begin or end: a key's place in the collation, and a document's id.
type End<'e> = (&'e [u8], &'e str);

/// A row of a document that is ahead of its rows.
struct Fresh {
    /// The key's place in the collation, and the document's id.
    place: (Vec<u8>, Arc<str>),
    key: Arc<str>,
    value: Arc<RawValue>,
    document: Arc<Document>,
}

/// The next row.
enum Next<'a> {
    OfFile(Entry<'a>),
    Fresh(Fresh),
}

/// Both, in the order of a query.
struct Merged<'a> {
    direction: Direction,
    /// None if the file has no rows of the database.
    file: Option<Range<'a, RowPlace, KeyAndNumber>>,
    /// The next of the file's.
    held: Option<Entry<'a>>,
    /// From the first to the last.
    fresh: VecDeque<Fresh>,
    /// Whose rows in the file are not theirs any longer.
    ahead: HashSet<String>,
}

impl<'a> Merged<'a> {
    fn next(&mut self) -> Result<Option<Next<'a>>> {
        if self.held.is_none() {
            self.held = self.next_of_file()?;
        }
        let fresh = match self.direction {
            Direction::Ascending => self.fresh.front(),
            Direction::Descending => self.fresh.back(),
        };
        let is_fresh_first = match (&self.held, fresh) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((held, _)), Some(fresh)) => {
                let (_, _, sort_key, id) = held.value();
                let order = (fresh.place.0.as_slice(), &*fresh.place.1).cmp(&(sort_key, id));
                order == if self.direction == Direction::Ascending { Ordering::Less } else { Ordering::Greater }
            }
        };
        if is_fresh_first {
            let fresh = match self.direction {
                Direction::Ascending => self.fresh.pop_front(),
                Direction::Descending => self.fresh.pop_back(),
            };
            return Ok(fresh.map(Next::Fresh));
        }
        Ok(self.held.take().map(Next::OfFile))
    }

    fn next_of_file(&mut self) -> Result<Option<Entry<'a>>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        loop {
            let entry = match self.direction {
                Direction::Ascending => file.next(),
                Direction::Descending => file.next_back(),
            };
            let Some(entry) = entry.transpose().map_err(failed)? else { return Ok(None) };
            let (_, _, _, id) = entry.0.value();
            if !self.ahead.contains(id) {
                return Ok(Some(entry));
            }
        }
    }
}

impl File {
    /// The rows of a query in its order: as many as its batch, but no more than the first `least` and those that have
    /// [`BATCH_BYTES`] together with their documents. Besides, of how many documents they are behind in the file.
    pub(super) fn rows(&self, database: &DbName, view: &View, query: &Query, least: usize) -> Result<(Batch, usize)> {
        let transaction = self.read()?;
        let mut batch = Batch { rows: Vec::new(), is_last: true };
        let ahead = behind::ahead(&transaction, database)?;
        let behind = ahead.len();
        let Some(of) = self.mapping.number(view) else { return Ok((batch, behind)) };
        let sort_key = |place: &Option<Place>| place.as_ref().map(|place| self.mapping.sort_key(&place.key));
        let (first, last) = (sort_key(&query.first), sort_key(&query.last));
        // no sort key begins with a byte of 255
        let first = (first.as_deref().unwrap_or_default(), query.first_id());
        let last = (last.as_deref().unwrap_or(&[u8::MAX]), query.last_id());
        if first > last {
            return Ok((batch, behind));
        }
        let table = transaction.open_table(ROWS).map_err(failed)?;
        let number = number_of_database(&transaction, database)?;
        let view_number = number_of_view(of)?;
        let file = number
            .map(|number| table.range((number, view_number, first.0, first.1)..=(number, view_number, last.0, last.1)));
        let fresh = self.fresh(&transaction, database, view, &ahead, (first, last))?;
        let mut merged = Merged {
            direction: query.direction,
            file: file.transpose().map_err(failed)?,
            held: None,
            fresh: fresh.into(),
            ahead,
        };
        let values = transaction.open_table(VALUES).map_err(failed)?;
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let mut bytes = 0;
        while let Some(next) = merged.next()? {
            if batch.rows.len() >= query.batch || bytes >= BATCH_BYTES && batch.rows.len() >= least {
                batch.is_last = false;
                break;
            }
            let row = match next {
                Next::Fresh(Fresh { place: (_, id), key, value, document }) => {
                    Row { id, key, value, document: Some(document).filter(|_| query.with_documents) }
                }
                Next::OfFile((place, row)) => {
                    let (number, _, _, id) = place.value();
                    let (key, value) = row.value();
                    let value = values.get((number, id, value)).map_err(failed)?;
                    let no_value = || Error::Corrupt(format!("{id}: a row of {} has no value", path(view)));
                    let value = RawValue::from_string(value.ok_or_else(no_value)?.value().to_owned());
                    let place = (database.as_str(), id);
                    let found = if query.with_documents { documents.get(place).map_err(failed)? } else { None };
                    let document = found.map(|found| stored(found.value().1)).transpose()?.map(Arc::new);
                    Row { id: id.into(), key: key.into(), value: Arc::from(value.map_err(corrupt)?), document }
                }
            };
            bytes += row.bytes();
            batch.rows.push(row);
        }
        Ok((batch, behind))
    }

    /// The rows between two places that a view has of documents that are ahead of theirs, in its order.
    fn fresh(
        &self,
        transaction: &ReadTransaction,
        database: &DbName,
        view: &View,
        ahead: &HashSet<String>,
        (first, last): (End<'_>, End<'_>),
    ) -> Result<Vec<Fresh>> {
        let mut fresh = Vec::new();
        if ahead.is_empty() || !(view.holds)(database) {
            return Ok(fresh);
        }
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        for id in ahead.iter().filter(|id| !id.starts_with('_')) {
            let found = documents.get((database.as_str(), id.as_str())).map_err(failed)?;
            let document = found.map(|found| stored(found.value().1).map(Arc::new)).transpose()?;
            let Some(document) = document else { continue };
            // a document has one row of a key
            let rows: BTreeMap<_, _> = self.mapping.of_view(view, &document).into_iter().map(by_place).collect();
            for (sort_key, (key, value)) in rows {
                let place = (sort_key.as_slice(), id.as_str());
                if first <= place && place <= last {
                    let document = Arc::clone(&document);
                    fresh.push(Fresh { place: (sort_key, id.as_str().into()), key: key.into(), value, document });
                }
            }
        }
        fresh.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(fresh)
    }
}

fn by_place<P, K, V>((place, key, value): (P, K, V)) -> (P, (K, V)) {
    (place, (key, value))
}
