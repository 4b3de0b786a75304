//! The redb file of the embedded store: its tables, and what is read from them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::document::{DbName, DocId, Document};

use super::super::mapping::{Mapped, Mapping, path};
use super::super::rows::BATCH_BYTES;
use super::super::{Attachments, Error, Result, View};
use super::folder::{self, CannotOpen, Making};
use super::layout::{
    CONTENTS, DATABASES, DOCUMENTS, FIRST_LAYOUT, FORMER_ROWS, LAYOUT, LAYOUT_WITH_HISTORY, LAYOUT_WITH_ROWS, META,
    ROWS, RowTables, VALUES, corrupt, failed, stored,
};
use super::opened::Opened;
use super::tables::{attachments_of, set_attachment};
use super::{Embedded, behind, history};

/// The open file, and what its rows are made by.
pub(super) struct File {
    pub(super) redb: Opened,
    pub(super) mapping: Arc<Mapping>,
}

/// What was found of a document.
pub(super) enum Found {
    /// All of it; None if it is not there.
    Document(Option<Document>),
    /// That it has more bytes than were wanted: so many.
    Longer(usize),
}

impl File {
    /// Opens the file in a folder, or makes it where that is allowed.
    pub(super) fn open(folder: &Path, views: &'static [View], making: Making) -> std::result::Result<Self, CannotOpen> {
        // signing keys and users' secrets are in it: it is its owner's alone, and so is a folder that is made for it
        folder::prepare(folder, making)?;
        let redb = Opened::new(folder.join(Embedded::FILE_NAME), making)?;
        // a file that was made is on disk when its name is, too
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(CannotOpen::system(folder))?;
        let mapping = Mapping::new(views).map_err(CannotOpen::store(folder))?;
        let file = Self { redb, mapping: Arc::new(mapping) };
        file.prepare_tables().map_err(CannotOpen::store(folder))?;
        Ok(file)
    }

    /// Adds a database, if it is not there.
    pub(super) fn create(&self, database: &DbName) -> Result<()> {
        self.redb.write(|transaction| {
            transaction.open_table(DATABASES).map_err(failed)?.insert(database.as_str(), ()).map_err(failed)?;
            Ok(())
        })
    }

    /// A document, if its JSON has at most so many bytes.
    pub(super) fn document(&self, database: &DbName, id: &DocId, most: usize) -> Result<Found> {
        let documents = self.read()?.open_table(DOCUMENTS).map_err(failed)?;
        let found = documents.get((database.as_str(), id.as_str())).map_err(failed)?;
        Ok(match found.as_ref().map(|found| found.value().1) {
            Some(json) if json.len() > most => Found::Longer(json.len()),
            found => Found::Document(found.map(stored).transpose()?),
        })
    }

    /// Some documents of a database, as they are now, as far as there is room for them: the first, and those that have
    /// [`BATCH_BYTES`] together.
    pub(super) fn documents_of(&self, database: &DbName, ids: &[Arc<str>]) -> Result<Vec<Option<Document>>> {
        let documents = self.read()?.open_table(DOCUMENTS).map_err(failed)?;
        let mut found = Vec::with_capacity(ids.len());
        let mut bytes = 0;
        for id in ids {
            if bytes >= BATCH_BYTES {
                break;
            }
            let document = documents.get((database.as_str(), &**id)).map_err(failed)?;
            let document = document.map(|document| stored(document.value().1)).transpose()?;
            bytes += document.as_ref().map_or(0, Document::bytes);
            found.push(document);
        }
        Ok(found)
    }

    /// An attachment of a document; None if it is not there.
    pub(super) fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        let contents = self.read()?.open_table(CONTENTS).map_err(failed)?;
        let found = contents.get((database.as_str(), id.as_str(), name)).map_err(failed)?;
        Ok(found.map(|bytes| Bytes::copy_from_slice(bytes.value())))
    }

    /// The names of all databases.
    pub(super) fn databases(&self) -> Result<Vec<DbName>> {
        let databases = self.read()?.open_table(DATABASES).map_err(failed)?;
        let names = databases.iter().map_err(failed)?;
        names.map(|entry| entry.map_err(failed)?.0.value().parse().map_err(corrupt)).collect()
    }

    /// Makes the tables of a new file; makes the rows anew if they are not those of this build's views.
    fn prepare_tables(&self) -> Result<()> {
        let views: Vec<String> =
            self.mapping.views.iter().map(|view| format!("{}@{}", path(view), view.version)).collect();
        let views = views.join(" ");
        // a file that needs nothing is served where nothing can be written, as on a full disk
        if self.is_prepared(&views).unwrap_or(false) {
            return Ok(());
        }
        self.redb.write(|transaction| self.make_tables(transaction, &views))
    }

    fn make_tables(&self, transaction: &WriteTransaction, views: &str) -> Result<()> {
        let mut meta = transaction.open_table(META).map_err(failed)?;
        let found = |meta: &Table<'_, &'static str, &'static str>, key: &str| -> Result<Option<String>> {
            Ok(meta.get(key).map_err(failed)?.map(|found| found.value().to_owned()))
        };
        let layout = found(&meta, "layout")?.unwrap_or_else(|| FIRST_LAYOUT.to_string());
        let Some(layout) = layout.parse().ok().filter(|layout| (FIRST_LAYOUT..=LAYOUT).contains(layout)) else {
            let text = format!("the store's layout is {layout}, and this build knows {LAYOUT}: use a later build");
            return Err(Error::Refused(text));
        };
        let has_rows = layout >= LAYOUT_WITH_ROWS && found(&meta, "views")?.is_some_and(|found| found == views);
        meta.insert("layout", LAYOUT.to_string().as_str()).map_err(failed)?;
        meta.insert("views", views).map_err(failed)?;
        drop(meta);
        if layout < LAYOUT_WITH_HISTORY {
            history::begin(transaction)?;
        }
        if layout < LAYOUT {
            history::take_over(transaction)?;
        }
        if layout < LAYOUT_WITH_ROWS {
            for former in FORMER_ROWS {
                transaction.delete_table(TableDefinition::<&str, &str>::new(former)).map_err(failed)?;
            }
        }
        if !has_rows {
            transaction.delete_table(ROWS).map_err(failed)?;
            transaction.delete_table(VALUES).map_err(failed)?;
            behind::forget(transaction)?;
            self.make_rows(transaction)?;
        }
        transaction.open_table(DATABASES).map_err(failed)?;
        transaction.open_table(CONTENTS).map_err(failed)?;
        Ok(())
    }

    /// Whether the file has this build's tables and rows.
    fn is_prepared(&self, views: &str) -> Result<bool> {
        let meta = self.read()?.open_table(META).map_err(failed)?;
        let is = |key: &str, value: &str| -> Result<bool> {
            Ok(meta.get(key).map_err(failed)?.is_some_and(|found| found.value() == value))
        };
        Ok(is("layout", &LAYOUT.to_string())? && is("views", views)?)
    }

    fn make_rows(&self, transaction: &WriteTransaction) -> Result<()> {
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let mut rows = RowTables::open(transaction)?;
        for entry in documents.iter().map_err(failed)? {
            let (place, document) = entry.map_err(failed)?;
            let (database, id) = place.value();
            let database = database.parse().map_err(corrupt)?;
            let mapped = self.mapping.map(&database, &stored(document.value().1)?);
            rows.replace(&database, id, &Mapped::default(), &mapped)?;
        }
        Ok(())
    }

    pub(super) fn read(&self) -> Result<ReadTransaction> {
        self.redb.begin_read()
    }

    /// The documents whose ids come after one id and up to another, at most so many; None if the database is not there.
    pub(super) fn documents(
        &self,
        database: &DbName,
        (after, last): (Option<&str>, &str),
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        let transaction = self.read()?;
        let databases = transaction.open_table(DATABASES).map_err(failed)?;
        if databases.get(database.as_str()).map_err(failed)?.is_none() {
            return Ok(None);
        }
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let contents = transaction.open_table(CONTENTS).map_err(failed)?;
        let name = database.as_str();
        let range = documents.range((name, after.unwrap_or_default())..=(name, last)).map_err(failed)?;
        let mut found = Vec::new();
        for entry in range {
            let (place, document) = entry.map_err(failed)?;
            let (_, id) = place.value();
            if Some(id) == after {
                continue;
            }
            if found.len() == limit {
                break;
            }
            let mut document = stored(document.value().1)?;
            if matches!(attachments, Attachments::Inline) {
                inline(&mut document, name, id, &contents)?;
            }
            found.push(document);
        }
        Ok(Some(found))
    }
}

/// Puts the attachments that a document names into it.
pub(super) fn inline(
    document: &mut Document,
    database: &str,
    id: &str,
    contents: &impl ReadableTable<ContentPlace, &'static [u8]>,
) -> Result<()> {
    for (name, stub) in attachments_of(document) {
        let bytes = contents.get((database, id, name.as_str())).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| Error::Corrupt(format!("{id}: no content for attachment {name}")))?;
        let mut attachment = Document::new();
        if let Some(kind) = stub.get("content_type") {
            attachment.set("content_type", kind.to_owned());
        }
        attachment.set_text("data", &STANDARD.encode(bytes.value()));
        set_attachment(document, &name, &attachment);
    }
    Ok(())
}

type ContentPlace = (&'static str, &'static str, &'static str);
