//! Many documents at once: by their ids, or by the keys of a view.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::document::{DbName, Document};

use super::super::{Lookup, Query, Result, Row, View};
use super::disk::Disk;
use super::file::File;

/// From how many keys on all rows of a view are read once, and not those of each key: each reading looks at the rows that are
/// behind, too.
const MANY: usize = 16;

impl Disk {
    /// The documents of these ids that are there.
    pub(super) async fn documents(&self, name: &DbName, ids: Vec<Arc<str>>) -> Result<Vec<Arc<Document>>> {
        let ids: Arc<[Arc<str>]> = ids.into();
        let (mut found, mut at) = (Vec::new(), 0);
        while at < ids.len() {
            let (name, ids) = (name.clone(), Arc::clone(&ids));
            let read = self.reading(move |file| file.documents_of(&name, ids.get(at..).unwrap_or_default())).await?;
            at += read.len();
            found.extend(read.into_iter().flatten().map(Arc::new));
        }
        Ok(found)
    }

    /// The documents of a view's rows of these keys, each with the key.
    pub(super) async fn find(
        &self,
        name: &DbName,
        by: &Lookup,
        keys: &[String],
    ) -> Result<Vec<(String, Arc<Document>)>> {
        let (database, view, keys) = (name.clone(), by.view, keys.to_vec());
        let rows = self.reading(move |file| rows_of(file, &database, &view, &keys)).await?;
        let ids = rows.iter().map(|row| Arc::clone(&row.id)).collect();
        let documents = self.documents(name, ids).await?.into_iter();
        let by_id: HashMap<String, Arc<Document>> =
            documents.filter_map(|document| Some((document.id()?, document))).collect();
        let found = |row: Row| Some((row.key.to_string(), Arc::clone(by_id.get(&*row.id)?)));
        Ok(rows.into_iter().filter_map(found).collect())
    }
}

/// The rows of a view of these keys.
fn rows_of(file: &File, database: &DbName, view: &View, keys: &[String]) -> Result<Vec<Row>> {
    let read = |query: Query| Ok(file.rows(database, view, &query.batch(usize::MAX), usize::MAX)?.0.rows);
    if keys.len() < MANY {
        return keys.iter().map(|key| read(Query::of_key(key))).collect::<Result<Vec<_>>>().map(|rows| rows.concat());
    }
    let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
    let mut rows = read(Query::all())?;
    rows.retain(|row| keys.contains(&*row.key));
    Ok(rows)
}
