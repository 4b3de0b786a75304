//! Everything in the file as it was at one moment.

use redb::ReadableTable;
use tokio::sync::mpsc::Sender;

use super::super::rows::LAST;
use super::super::{Entry, Result};
use super::file::{File, inline};
use super::layout::{CONTENTS, DATABASES, DOCUMENTS, corrupt, failed, stored};

impl File {
    /// Sends all that is there to who takes it, one after the other; ends early if nobody does any longer.
    ///
    /// The file grows by what is written meanwhile, since it keeps what the snapshot has yet to read.
    ///
    /// Errors: the file fails, or was opened anew after a fault.
    pub(super) fn snapshot(&self, entries: &Sender<Result<Entry>>) -> Result<()> {
        let transaction = self.redb.read(|| self.redb.begin_read())?;
        let databases = transaction.open_table(DATABASES).map_err(failed)?;
        let documents = transaction.open_table(DOCUMENTS).map_err(failed)?;
        let contents = transaction.open_table(CONTENTS).map_err(failed)?;
        let is_taken = |entry| entries.blocking_send(Ok(entry)).is_ok();
        for entry in databases.iter().map_err(failed)? {
            let database = entry.map_err(failed)?.0;
            let database = database.value();
            if !is_taken(Entry::Database(database.parse().map_err(corrupt)?)) {
                return Ok(());
            }
            for entry in documents.range((database, "")..=(database, LAST)).map_err(failed)? {
                let (place, document) = entry.map_err(failed)?;
                let (_, id) = place.value();
                let mut document = stored(document.value().1)?;
                inline(&mut document, database, id, &contents)?;
                if !is_taken(Entry::Document(document)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
