//! The schemas that documents are checked by: an operator's, where `system_schemas` has one of the name, or else ours;
//! and the resource at which they can be read and tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::value::RawValue;

use crate::aside::by_size;
use crate::document::{DbName, DocId, Document, json};
use crate::kazoo::documents::{self, is_deleted};
use crate::kazoo::schema::{Limits, SYSTEM_SCHEMAS, Schema};
use crate::store::{self, SharedStore};

use super::answer::{Answer, Data, List};
use super::error::Error;
use super::incoming::Incoming;

/// How many other schemas one may refer to, directly or not.
const REFERENCES: usize = 32;

/// The schemas as they are remembered.
pub struct Schemas {
    store: SharedStore,
    current: Cache<&'static str, Arc<Schema>>,
    /// The last that was read of each name: while its document stays the same it is not compiled again.
    latest: Cache<&'static str, Read>,
    limits: Limits,
}

#[derive(Clone)]
struct Read {
    documents: Vec<Arc<Document>>,
    schema: Arc<Schema>,
}

impl Schemas {
    /// Reads operators' schemas from a store, and remembers them for `remembered`; checks so much by them.
    pub fn new(store: SharedStore, remembered: Duration, limits: Limits) -> Self {
        Self {
            store,
            current: Cache::builder().time_to_live(remembered).build(),
            latest: Cache::new(REFERENCES as u64),
            limits,
        }
    }

    /// The schema of a name.
    ///
    /// Errors: [`Error::BadIdentifier`], or the store fails.
    pub async fn named(&self, name: &str) -> Result<Arc<Schema>, Error> {
        let name = Schema::names().find(|ours| *ours == name).ok_or_else(|| Error::BadIdentifier(name.to_owned()))?;
        let read = self.current.try_get_with(name, self.read(name)).await;
        read.map_err(|error| Error::Store(store::Error::clone(&error)))
    }

    /// What `fields` makes of a client's data and of so many more bytes, with defaults, if it is what the schema of a name
    /// asks for.
    ///
    /// Errors: [`Error::Validation`], and those of [`Schemas::named`].
    pub async fn check(
        &self,
        name: &str,
        data: Arc<RawValue>,
        more: usize,
        fields: impl FnOnce(Document) -> Document + Send + 'static,
    ) -> Result<Document, Error> {
        let (schema, limits) = (self.named(name).await?, self.limits);
        let bytes = data.get().len() + more;
        Ok(by_size(bytes, move || schema.validate_raw(&data, fields, limits)).await?)
    }

    async fn read(&self, name: &'static str) -> store::Result<Arc<Schema>> {
        let ours = || Schema::ours(name).ok_or_else(|| store::Error::Corrupt(format!("no schema {name}")));
        let Some(document) = self.document(name).await? else { return ours() };
        let mut others = BTreeMap::new();
        let mut wanted: BTreeSet<String> = Schema::references(&document);
        while let Some(name) = wanted.pop_first() {
            if others.len() == REFERENCES || others.contains_key(&name) {
                continue;
            }
            if let Some(other) = self.document(&name).await? {
                wanted.extend(Schema::references(&other));
                others.insert(name, other);
            }
        }
        let documents: Vec<Arc<Document>> = [&document].into_iter().chain(others.values()).cloned().collect();
        if let Some(latest) = self.latest.get(name).await
            && latest
                .documents
                .iter()
                .map(|document| document.to_json())
                .eq(documents.iter().map(|document| document.to_json()))
        {
            return Ok(latest.schema);
        }
        let schema = Arc::new(Schema::new(name, &document, &others));
        if let Some(problem) = schema.problem() {
            log::error!("{SYSTEM_SCHEMAS}/{name} is no schema, so no data can be checked: {problem}");
        }
        self.latest.insert(name, Read { documents, schema: Arc::clone(&schema) }).await;
        Ok(schema)
    }

    async fn document(&self, name: &str) -> store::Result<Option<Arc<Document>>> {
        let Ok(id) = name.parse::<DocId>() else { return Ok(None) };
        let document = self.store.get(&DbName::fixed(SYSTEM_SCHEMAS), &id).await?;
        Ok(document.filter(|document| !is_deleted(document)))
    }
}

/// `GET /v2/schemas`
pub fn list() -> Answer {
    let names: Vec<&str> = Schema::names().collect();
    Answer { data: Data::List(Arc::new(List::new(json::raw(&names), names.len()))), ..Answer::default() }
}

/// `GET /v2/schemas/{name}`
pub async fn read(schemas: &Schemas, name: &str) -> Result<Answer, Error> {
    let schema = schemas.named(name).await?;
    let (document, revision) = schema.document();
    Ok(Answer::document(document.to_raw(), Some(revision)))
}

/// `PUT /v2/schemas/{name}/validation`: data with its defaults, or what is wrong with them.
pub async fn validate(schemas: &Schemas, incoming: &Incoming, name: &str) -> Result<Answer, Error> {
    let valid = schemas.check(name, incoming.data(), 0, documents::submitted).await?;
    if incoming.only_reads() {
        return Err(Error::NotFound);
    }
    let valid = by_size(valid.bytes(), move || valid.to_raw()).await;
    Ok(Answer { created: true, ..Answer::document(valid, None) })
}
