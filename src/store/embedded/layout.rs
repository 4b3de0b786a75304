//! What is where in the file: its tables, the rows that views have of a document, and how a key's place is found.

use std::io;

use icu_collator::options::CollatorOptions;
use icu_collator::{Collator, CollatorBorrowed, CollatorPreferences};
use redb::{Table, TableDefinition};
use serde_json::value::RawValue;

use crate::document::{DbName, Document};

use super::super::{Error, Result, View};

/// Where a row stands in [`ROWS`].
pub(super) type RowPlace = (&'static str, &'static str, &'static [u8], &'static str);

/// What a row holds.
pub(super) type KeyAndValue = (&'static str, &'static str);

/// The databases there are.
pub(super) const DATABASES: TableDefinition<&str, ()> = TableDefinition::new("databases");

/// Database and document id -> the document, as CouchDB would give it.
pub(super) const DOCUMENTS: TableDefinition<(&str, &str), &str> = TableDefinition::new("documents");

/// Database, view, the key's place in the collation, document id -> key and value.
pub(super) const ROWS: TableDefinition<RowPlace, KeyAndValue> = TableDefinition::new("rows");

/// Database, document id, attachment's name -> its bytes.
pub(super) const CONTENTS: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("attachments");

/// What the file is and which views' rows it holds.
pub(super) const META: TableDefinition<&str, &str> = TableDefinition::new("meta");

/// The layout of the file: which tables it has, and what their keys and values are. A later build may not read it.
pub(super) const LAYOUT: &str = "1";

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
    pub(super) fn rows(&self, database: &DbName, document: &Document) -> Vec<MappedRow> {
        let mut rows = Vec::new();
        if document.id().is_none_or(|id| id.starts_with('_')) {
            return rows;
        }
        for view in self.views.iter().filter(|view| (view.holds)(database)) {
            (view.map)(document, &mut |key, value| {
                rows.push(MappedRow {
                    view: path(view),
                    sort_key: self.sort_key(key),
                    key: key.to_owned(),
                    value: value.to_owned(),
                });
            });
        }
        rows
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

/// A row as it is put into [`ROWS`].
pub(super) struct MappedRow {
    view: String,
    sort_key: Vec<u8>,
    key: String,
    value: Box<RawValue>,
}

pub(super) type RowTable<'t> = Table<'t, RowPlace, KeyAndValue>;

impl MappedRow {
    pub(super) fn insert(&self, rows: &mut RowTable<'_>, database: &DbName, id: &str) -> Result<()> {
        let place = (database.as_str(), self.view.as_str(), self.sort_key.as_slice(), id);
        rows.insert(place, (self.key.as_str(), self.value.get())).map_err(failed)?;
        Ok(())
    }

    pub(super) fn remove(&self, rows: &mut RowTable<'_>, database: &DbName, id: &str) -> Result<()> {
        rows.remove((database.as_str(), self.view.as_str(), self.sort_key.as_slice(), id)).map_err(failed)?;
        Ok(())
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
