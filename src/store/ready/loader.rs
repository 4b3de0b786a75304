//! A database's rows, read into memory beside what goes on.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::document::{DbName, Document};

use super::super::{Row, View};
use super::Ready;
use super::database::{Database, Loading};
use super::snapshot::{COST_OF_ROW, NewRow, cost};

/// Reads a database's rows into memory. If it is dropped before it has finished, whoever asks for them next begins again.
pub(in super::super) struct Loader<'r> {
    ready: &'r Ready,
    name: &'r DbName,
    database: Arc<Database>,
    documents: HashMap<Arc<str>, Loaded>,
    bytes: usize,
}

/// What was read of a document.
#[derive(Default)]
struct Loaded {
    document: Option<Arc<Document>>,
    rows: Vec<NewRow>,
}

impl Ready {
    /// Begins to load a database's rows, if nobody did.
    pub(in super::super) fn load<'r>(&'r self, name: &'r DbName, database: &Arc<Database>) -> Option<Loader<'r>> {
        let mut loading = database.loading();
        matches!(*loading, Loading::Not).then(|| {
            *loading = Loading::Begun(Vec::new());
            Loader { ready: self, name, database: Arc::clone(database), documents: HashMap::new(), bytes: 0 }
        })
    }
}

impl Loader<'_> {
    /// Takes in a document that was read with its rows, if there is room.
    pub(in super::super) fn keep(&mut self, id: &Arc<str>, document: &Arc<Document>) {
        let cost = cost(document);
        if self.bytes + cost <= self.ready.most_of_one {
            self.bytes += cost;
            self.documents.entry(Arc::clone(id)).or_default().document = Some(Arc::clone(document));
        }
    }

    /// Takes in rows of a view that were read. False if they are more than may be kept: then no more need be read.
    pub(in super::super) fn read(&mut self, view: &View, rows: Vec<Row>) -> bool {
        let Some(index) = self.ready.index(view) else { return true };
        for row in rows {
            let place = self.ready.mapping.sort_key(&row.key);
            let of_document = &mut self.documents.entry(row.id).or_default().rows;
            // a document's rows mostly share their value
            let value = of_document.last().map(|(.., value)| value).filter(|value| value.get() == row.value.get());
            self.bytes += COST_OF_ROW + if value.is_none() { row.value.get().len() } else { 0 };
            let value: Arc<RawValue> = value.map_or(row.value, Arc::clone);
            of_document.push((index, place, row.key, value));
        }
        self.fits()
    }

    /// From now on the rows that were read are kept, with what changed meanwhile.
    pub(in super::super) fn finish(mut self) {
        let mut loading = self.database.loading();
        let Loading::Begun(changes) = std::mem::replace(&mut *loading, Loading::TooMany) else { return };
        if self.fits() {
            let now = self.database.now.load();
            let mut next = now.of_views(self.ready.views.len());
            for (id, loaded) in std::mem::take(&mut self.documents) {
                let known = now.known(&id).and_then(|known| known.document().cloned());
                next.replace(&id, known.or(loaded.document), loaded.rows);
            }
            for change in changes {
                self.ready.apply(&mut next, change);
            }
            next.version = self.ready.next_version();
            self.database.now.store(Arc::new(next));
            *loading = Loading::Done;
        }
        drop(loading);
        self.ready.weigh(self.name, &self.database);
    }

    fn fits(&self) -> bool {
        self.bytes <= self.ready.most_of_one
    }
}

impl Drop for Loader<'_> {
    fn drop(&mut self) {
        let mut loading = self.database.loading();
        if matches!(*loading, Loading::Begun(_)) {
            *loading = Loading::Not;
        }
    }
}
