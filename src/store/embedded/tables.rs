//! What is written to the tables of the embedded store: documents with their attachments and their rows.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::document::{DbName, Document, Revision, json};

use super::super::mapping::{Mapped, Mapping};
use super::super::ready::Change;
use super::super::{ATTACHMENTS, Error, Result};
use super::behind::{Ahead, Behind, SMALL};
use super::history::History;
use super::layout::{CONTENTS, DATABASES, DOCUMENTS, RowTables, failed, stored};
use super::sweep::Sweep;

/// The tables, in a transaction that writes.
pub(super) struct Tables<'t> {
    mapping: &'t Mapping,
    databases: Table<'t, &'static str, ()>,
    documents: Table<'t, (&'static str, &'static str), (u64, &'static str)>,
    rows: RowTables<'t>,
    behind: Behind<'t>,
    contents: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
    history: History<'t>,
    sweep: &'t mut Sweep,
    changes: Vec<Change>,
    written: usize,
}

impl<'t> Tables<'t> {
    /// Opens them. If the transaction fails, what `sweep` is then is none that happened.
    pub(super) fn open(transaction: &'t WriteTransaction, mapping: &'t Mapping, sweep: &'t mut Sweep) -> Result<Self> {
        Ok(Self {
            mapping,
            databases: transaction.open_table(DATABASES).map_err(failed)?,
            documents: transaction.open_table(DOCUMENTS).map_err(failed)?,
            rows: RowTables::open(transaction)?,
            behind: Behind::open(transaction)?,
            contents: transaction.open_table(CONTENTS).map_err(failed)?,
            history: History::open(transaction)?,
            sweep,
            changes: Vec::new(),
            written: 0,
        })
    }

    /// How many bytes of documents were written.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// What was written, in its order, and the last numbers of the databases' histories.
    pub(super) fn into_changes(self) -> (Vec<Change>, HashMap<DbName, u64>) {
        (self.changes, self.history.into_last())
    }

    /// Errors: [`Error::MissingDatabase`].
    pub(super) fn must_have(&self, database: &DbName) -> Result<()> {
        match self.databases.get(database.as_str()).map_err(failed)? {
            Some(_) => Ok(()),
            None => Err(Error::MissingDatabase(database.clone())),
        }
    }

    /// A document as it is now.
    pub(super) fn document(&self, database: &DbName, id: &str) -> Result<Option<Document>> {
        let found = self.documents.get((database.as_str(), id)).map_err(failed)?;
        found.map(|found| stored(found.value().1)).transpose()
    }

    /// Writes a document and its attachments in place of those that are there. Its rows may be behind it then.
    pub(super) fn replace(
        &mut self,
        database: &DbName,
        id: &str,
        existing: Option<&Document>,
        incoming: Incoming,
    ) -> Result<()> {
        let Incoming { document, json, rows, contents } = incoming;
        self.replace_contents(database, id, existing, &document, &contents)?;
        let rows = rows.unwrap_or_else(|| Arc::new(self.mapping.map(database, &document)));
        if json.len().max(existing.map_or(0, Document::bytes)) <= SMALL {
            self.behind.note(database, id, existing)?;
            self.sweep.keep(database, id, &rows);
        } else {
            let rows_of = self.behind.take_one(database, id)?.map(|ahead| ahead.rows_of);
            let rows_of = rows_of.as_ref().map_or(existing, Option::as_ref);
            let old = rows_of.map(|rows_of| self.mapping.map(database, rows_of)).unwrap_or_default();
            self.rows.replace(database, id, &old, &rows)?;
        }
        let number = self.history.next(database)?;
        let former = self.documents.insert((database.as_str(), id), (number, json.as_str())).map_err(failed)?;
        self.history.add(database, id, number, former.map(|former| former.value().0))?;
        self.written += json.len();
        self.changes.push(Change { database: database.clone(), id: id.into(), document: Some(document), rows });
        Ok(())
    }

    /// Brings all rows of a database up to their documents.
    pub(super) fn catch_up(&mut self, database: &DbName) -> Result<()> {
        loop {
            let ahead = self.behind.take_of(database)?;
            if ahead.is_empty() {
                return Ok(());
            }
            self.bring_up(ahead)?;
        }
    }

    /// Brings rows up to some documents after a place, if more than may be are behind: twice as many as were written, so
    /// that they become fewer.
    pub(super) fn keep_up(&mut self) -> Result<()> {
        let mut left = usize::try_from(self.behind.too_many()?).unwrap_or(usize::MAX).min(2 * self.changes.len());
        while left > 0 {
            let ahead = self.behind.take_some(&mut self.sweep.after, left)?;
            left = left.saturating_sub(ahead.len().max(1));
            self.bring_up(ahead)?;
        }
        Ok(())
    }

    fn bring_up(&mut self, ahead: Vec<Ahead>) -> Result<()> {
        for Ahead { database, id, rows_of } in ahead {
            let old = rows_of.map(|of| self.mapping.map(&database, &of)).unwrap_or_default();
            let new = match self.sweep.take(&database, &id) {
                Some(rows) => rows,
                None => Arc::new(self.mapped(&database, &id)?),
            };
            self.rows.replace(&database, &id, &old, &new)?;
        }
        Ok(())
    }

    /// The rows of a document as it is now.
    fn mapped(&self, database: &DbName, id: &str) -> Result<Mapped> {
        let document = match self.document(database, id) {
            Err(Error::Corrupt(why)) => {
                log::error!("{database}: {id} has no rows: {why}");
                None
            }
            document => document?,
        };
        Ok(document.map(|document| self.mapping.map(database, &document)).unwrap_or_default())
    }

    /// Writes the attachments that a document brings, and drops those that it no longer names.
    fn replace_contents(
        &mut self,
        database: &DbName,
        id: &str,
        existing: Option<&Document>,
        document: &Document,
        contents: &[(String, Vec<u8>)],
    ) -> Result<()> {
        let former = existing.map(attachments_of).unwrap_or_default();
        let kept = if former.is_empty() { Vec::new() } else { attachments_of(document) };
        for (name, _) in former {
            if kept.iter().all(|(kept, _)| *kept != name) {
                self.contents.remove((database.as_str(), id, name.as_str())).map_err(failed)?;
            }
        }
        for (name, bytes) in contents {
            self.contents.insert((database.as_str(), id, name.as_str()), bytes.as_slice()).map_err(failed)?;
        }
        Ok(())
    }
}

/// A document as it will be once it is written, if it is.
pub(super) struct Incoming {
    /// With its revision, and a stub for each attachment.
    document: Arc<Document>,
    json: String,
    /// None if it takes long to map them.
    rows: Option<Arc<Mapped>>,
    /// The attachments that it brings.
    contents: Vec<(String, Vec<u8>)>,
}

impl Incoming {
    /// A document that gets this revision.
    ///
    /// Errors: the data of an attachment is not base64.
    pub(super) fn new(
        mapping: &Mapping,
        database: &DbName,
        mut document: Document,
        revision: &Revision,
    ) -> Result<Self> {
        let contents = take_contents(&mut document, revision)?;
        let document = Arc::new(with_revision(document, revision));
        let rows = (document.bytes() <= SMALL).then(|| Arc::new(mapping.map(database, &document)));
        Ok(Self { json: document.to_json(), document, rows, contents })
    }
}

/// Takes the attachments that a document brings, and leaves a stub for each.
fn take_contents(document: &mut Document, revision: &Revision) -> Result<Vec<(String, Vec<u8>)>> {
    let mut contents = Vec::new();
    for (name, attachment) in attachments_of(document) {
        let Some(data) = attachment.text("data") else { continue };
        let refused = |_| Error::Refused(format!("the data of attachment {name} is not base64"));
        let bytes = STANDARD.decode(data).map_err(refused)?;
        let mut stub = Document::new();
        if let Some(kind) = attachment.get("content_type") {
            stub.set("content_type", kind.to_owned());
        }
        stub.set("revpos", json::raw(&revision.number()));
        stub.set_text("digest", &format!("md5-{}", STANDARD.encode(Md5::digest(&bytes))));
        stub.set("length", json::raw(&bytes.len()));
        stub.set("stub", json::raw(&true));
        set_attachment(document, &name, &stub);
        contents.push((name, bytes));
    }
    Ok(contents)
}

/// The attachments that a document names.
pub(super) fn attachments_of(document: &Document) -> Vec<(String, Document)> {
    let attachments = document.get(ATTACHMENTS).and_then(Document::from_raw).unwrap_or_default();
    attachments.into_iter().filter_map(|(name, raw)| Some((name, Document::from_raw(&raw)?))).collect()
}

/// Sets one of a document's attachments, which come after its other fields, as CouchDB gives them.
pub(super) fn set_attachment(document: &mut Document, name: &str, attachment: &Document) {
    let attachments = document.remove(ATTACHMENTS);
    let mut attachments = attachments.and_then(|raw| Document::from_raw(&raw)).unwrap_or_default();
    attachments.set(name, attachment.to_raw());
    document.set(ATTACHMENTS, attachments.to_raw());
}

/// The document with `_id` and its new revision first, as CouchDB gives it.
fn with_revision(mut document: Document, revision: &Revision) -> Document {
    let mut whole = Document::new();
    if let Some(id) = document.remove("_id") {
        whole.set("_id", id);
    }
    document.remove("_rev");
    whole.set_text("_rev", &revision.to_string());
    whole.extend(document);
    whole
}
