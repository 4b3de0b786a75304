//! What who brings rows up to their documents keeps in memory from one transaction to the next.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::DbName;

use super::super::mapping::Mapped;

/// How many rows a document may have that are kept. With the most documents that may be ahead, some megabytes in all.
const MOST_ROWS: usize = 32;

/// How far it was swept, and what is known of what is ahead. One who forgets it loses nothing but time.
#[derive(Default)]
pub(super) struct Sweep {
    /// Up to which document rows were brought up last.
    pub(super) after: (String, String),
    /// The rows of documents that are ahead of those in the file, as they were mapped when these were written.
    rows: HashMap<(DbName, String), Arc<Mapped>>,
}

impl Sweep {
    /// A document that has these rows was written, and is ahead of those in the file.
    pub(super) fn keep(&mut self, database: &DbName, id: &str, rows: &Arc<Mapped>) {
        let place = (database.clone(), id.to_owned());
        if rows.rows.len() <= MOST_ROWS {
            self.rows.insert(place, Arc::clone(rows));
        } else {
            self.rows.remove(&place);
        }
    }

    /// The rows of a document, which is not ahead from now on.
    pub(super) fn take(&mut self, database: &DbName, id: &str) -> Option<Arc<Mapped>> {
        self.rows.remove(&(database.clone(), id.to_owned()))
    }
}
