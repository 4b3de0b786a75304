//! What is written to the tables of the embedded store: documents with their attachments and their rows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use redb::{ReadableTable, Table};

use crate::document::{DbName, Document, Revision, json};

use super::super::{ATTACHMENTS, Error, Result};
use super::layout::{Mapping, RowTables, failed, stored};

/// One database's part of the tables, in a transaction that writes.
pub(super) struct Tables<'t> {
    pub(super) mapping: &'t Mapping,
    pub(super) database: &'t DbName,
    pub(super) documents: Table<'t, (&'static str, &'static str), &'static str>,
    pub(super) rows: RowTables<'t>,
    pub(super) contents: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
}

impl Tables<'_> {
    pub(super) fn document(&self, id: &str) -> Result<Option<Document>> {
        let found = self.documents.get((self.database.as_str(), id)).map_err(failed)?;
        found.map(|json| stored(json.value())).transpose()
    }

    /// Writes a document, its attachments and its rows in place of those that are there.
    pub(super) fn replace(
        &mut self,
        id: &str,
        existing: Option<&Document>,
        document: Document,
        revision: &Revision,
    ) -> Result<()> {
        let mut document = with_revision(document, revision);
        self.replace_attachments(id, existing, &mut document, revision)?;
        let old = existing.map(|existing| self.mapping.map(self.database, existing)).unwrap_or_default();
        self.mapping.map(self.database, &document).replace(&old, &mut self.rows, self.database, id)?;
        self.documents.insert((self.database.as_str(), id), document.to_json().as_str()).map_err(failed)?;
        Ok(())
    }

    /// Keeps the attachments that the document names by a stub, writes those that it brings, and drops the others.
    fn replace_attachments(
        &mut self,
        id: &str,
        existing: Option<&Document>,
        document: &mut Document,
        revision: &Revision,
    ) -> Result<()> {
        let attachments = attachments_of(document);
        let mut old = existing.cloned().unwrap_or_default();
        for (name, _) in attachments_of(&mut old) {
            if attachments.iter().all(|(kept, _)| *kept != name) {
                self.contents.remove((self.database.as_str(), id, name.as_str())).map_err(failed)?;
            }
        }
        for (name, attachment) in attachments {
            let Some(data) = attachment.text("data") else { continue };
            let bytes = STANDARD
                .decode(data)
                .map_err(|_| Error::Refused(format!("{id}: the data of attachment {name} is not base64")))?;
            self.contents.insert((self.database.as_str(), id, name.as_str()), bytes.as_slice()).map_err(failed)?;
            let mut stub = Document::new();
            if let Some(kind) = attachment.get("content_type") {
                stub.set("content_type", kind.to_owned());
            }
            stub.set("revpos", json::raw(&revision.number()));
            stub.set_text("digest", &format!("md5-{}", STANDARD.encode(Md5::digest(&bytes))));
            stub.set("length", json::raw(&bytes.len()));
            stub.set("stub", json::raw(&true));
            set_attachment(document, &name, &stub);
        }
        Ok(())
    }
}

/// The attachments that a document names.
pub(super) fn attachments_of(document: &mut Document) -> Vec<(String, Document)> {
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
