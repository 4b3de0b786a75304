//! What is where in the file: its tables, the rows that views have of a document, and how a key's place is found.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use redb::{Table, TableDefinition, WriteTransaction};
use serde_json::value::RawValue;

use crate::document::{DbName, Document};

use super::super::{Error, Result, View};

/// Where a row stands in [`ROWS`].
pub(super) type RowPlace = (&'static str, &'static str, &'static [u8], &'static str);

/// What a row holds: its key, and which of its document's values it has.
pub(super) type KeyAndNumber = (&'static str, u32);

/// Where a value stands in [`VALUES`].
pub(super) type ValuePlace = (&'static str, &'static str, u32);

/// The databases there are.
pub(super) const DATABASES: TableDefinition<&str, ()> = TableDefinition::new("databases");

/// Database and document id -> the document, as CouchDB would give it.
pub(super) const DOCUMENTS: TableDefinition<(&str, &str), &str> = TableDefinition::new("documents");

/// Database, view, the key's place in the collation, document id -> key, and the number of the row's value.
pub(super) const ROWS: TableDefinition<RowPlace, KeyAndNumber> = TableDefinition::new("rows");

/// Database, document id, number -> a value of the document's rows, however many rows have it.
pub(super) const VALUES: TableDefinition<ValuePlace, &str> = TableDefinition::new("values");

/// Database, document id, attachment's name -> its bytes.
pub(super) const CONTENTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("attachments");

/// What the file is and which views' rows it holds.
pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");

/// The layout of the file: which tables it has, and what their keys and values are. A later build may not read it. In the
/// first, each row had its value itself.
pub(super) const LAYOUT: &str = "2";

/// Sorts after every text that can follow in the same place of a key.
pub(super) const LAST: &str = "\u{10ffff}";

/// What rows are made by: the views, and the collation of their keys.
pub(super) struct Mapping {
    pub(super) views: &'static [View],
    collator: CollatorBorrowed<'static>,
}

impl Mapping {
    /// Errors: the collation's data are not there, which are part of this program.
    pub(super) fn new(views: &'static [View]) -> Result<Self> {
        let collator = Collator::try_new(CollatorPreferences::default(), CollatorOptions::default());
        Ok(Self { views, collator: collator.map_err(corrupt)? })
    }

    /// The rows that this database's views have of a document.
    pub(super) fn map(&self, database: &DbName, document: &Document) -> Mapped {
        let mut mapped = Mapped::default();
        if document.id().is_none_or(|id| id.starts_with('_')) {
            return mapped;
        }
        for view in self.views.iter().filter(|view| (view.holds)(database)) {
            let path = path(view);
            (view.map)(document, &mut |key, value| {
                let place = (path.clone(), self.sort_key(key));
                let number = mapped.number(value);
                mapped.rows.insert(place, (key.to_owned(), number));
            });
        }
        mapped
    }

    /// Bytes that sort as CouchDB collates the text: by ICU's root collation.
    pub(super) fn sort_key(&self, key: &str) -> Vec<u8> {
        let mut sort_key = Vec::with_capacity(key.len() * 2);
        let Ok(()) = self.collator.write_sort_key_to(key, &mut sort_key);
        sort_key
    }
}

/// A view's name as the file has it.
pub(super) fn path(view: &View) -> String {
    format!("{}/{}", view.design, view.name)
}

/// A document's rows as they are put into [`ROWS`] and [`VALUES`].
#[derive(Default)]
pub(super) struct Mapped {
    /// View, the key's place in the collation -> key, and the number of the value.
    rows: BTreeMap<(String, Vec<u8>), (String, u32)>,
    values: Vec<Arc<RawValue>>,
    /// The value of the last row and its number: mostly it is that of the next row too.
    last: Option<(Arc<RawValue>, u32)>,
}

impl Mapped {
    /// The number of a value, which is kept once.
    fn number(&mut self, value: &Arc<RawValue>) -> u32 {
        if let Some((_, number)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, value)) {
            return *number;
        }
        let number = self.values.iter().position(|known| known.get() == value.get()).unwrap_or_else(|| {
            self.values.push(Arc::clone(value));
            self.values.len() - 1
        });
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.last = Some((Arc::clone(value), number));
        number
    }

    /// Writes the rows in the place of those that are there.
    pub(super) fn replace(
        &self,
        existing: &Self,
        tables: &mut RowTables<'_>,
        database: &DbName,
        id: &str,
    ) -> Result<()> {
        let database = database.as_str();
        for (view, sort_key) in existing.rows.keys().filter(|place| !self.rows.contains_key(place)) {
            tables.rows.remove((database, view.as_str(), sort_key.as_slice(), id)).map_err(failed)?;
        }
        for (place @ (view, sort_key), row @ (key, number)) in &self.rows {
            if existing.rows.get(place) != Some(row) {
                let place = (database, view.as_str(), sort_key.as_slice(), id);
                tables.rows.insert(place, (key.as_str(), *number)).map_err(failed)?;
            }
        }
        for (number, value) in (0..).zip(&self.values) {
            tables.values.insert((database, id, number), value.get()).map_err(failed)?;
        }
        for (number, _) in (0..).zip(&existing.values).skip(self.values.len()) {
            tables.values.remove((database, id, number)).map_err(failed)?;
        }
        Ok(())
    }
}

/// The tables of rows, in a transaction that writes.
pub(super) struct RowTables<'t> {
    rows: Table<'t, RowPlace, KeyAndNumber>,
    values: Table<'t, ValuePlace, &'static str>,
}

impl<'t> RowTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        let rows = transaction.open_table(ROWS).map_err(failed)?;
        Ok(Self { rows, values: transaction.open_table(VALUES).map_err(failed)? })
    }
}

pub(super) fn stored(json: &str) -> Result<Document> {
    Document::parse(json).map_err(corrupt)
}

pub(super) fn corrupt(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}

/// A fault of the file: full disk, broken file, …
pub(super) fn failed(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        error @ redb::Error::Corrupted(_) => Error::Corrupt(error.to_string()),
        redb::Error::Io(error) if is_full(&error) => Error::Full(error.to_string()),
        error => Error::Refused(error.to_string()),
    }
}

/// Whether there is no room for what was to be written: on the disk, in the user's part of it, or for a file so long.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
