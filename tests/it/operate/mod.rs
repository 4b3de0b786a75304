//! What operators do: `views`, `doctor`, `audit`, `migrate`, on every store.

mod audit;
mod doctor;
mod migrate;
mod undo;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Kind, TestStore, block_on, document, new_id};
use crossbar_groups::document::{DbName, DocId, Document, Revision};
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::views as native;
use crossbar_groups::operate;
use crossbar_groups::operate::views::{Found, Owner, Report};
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{
    self, Attachments, Changed, Entry, Loaded, Query, Result, Row, Sequence, Server, ServerInfo, SharedServer, Store,
    View,
};

/// A store that counts what is written to another, and can be made to do as a test wants.
struct Watched {
    store: SharedServer,
    writes: AtomicUsize,
    /// After so many writes it is not reached any more.
    breaks_after: usize,
    /// What it says that it is.
    server: Option<ServerInfo>,
    /// What somebody else does right before a document is written.
    rival: Option<fn(Document) -> Document>,
}

impl Watched {
    fn new(store: SharedServer) -> Self {
        Self { store, writes: AtomicUsize::new(0), breaks_after: usize::MAX, server: None, rival: None }
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn write(&self) -> Result<()> {
        if self.writes.fetch_add(1, Ordering::SeqCst) >= self.breaks_after {
            return Err(store::Error::Unreachable("the test broke it".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Arc<Document>>> {
        self.store.get(database, id).await
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.write()?;
        if let Some(rival) = self.rival {
            let id = document.id().unwrap().parse().unwrap();
            let there = self.store.get(database, &id).await?.unwrap();
            self.store.put(database, &rival(Arc::unwrap_or_clone(there))).await?;
        }
        self.store.put(database, document).await
    }

    fn batches<'a>(&'a self, database: &'a DbName, view: &'a View, query: Query) -> BoxStream<'a, Result<Vec<Row>>> {
        self.store.batches(database, view, query)
    }

    async fn dump(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        self.store.dump(database, after, limit, attachments).await
    }

    async fn sequence(&self, database: &DbName) -> Result<Option<Sequence>> {
        self.store.sequence(database).await
    }

    async fn changed(&self, database: &DbName, since: &Sequence, most: usize) -> Result<Option<Vec<Changed>>> {
        self.store.changed(database, since, most).await
    }

    fn follow<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        self.store.follow(database, since)
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.store.attachment(database, id, name).await
    }

    async fn prove_writable(&self) -> Result<()> {
        self.store.prove_writable().await
    }
}

#[async_trait]
impl Server for Watched {
    fn has_native_views(&self) -> bool {
        self.server.is_none() && self.store.has_native_views()
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        self.store.create(database).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<Loaded> {
        self.write()?;
        self.store.load(database, documents).await
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        self.store.design_documents(database).await
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.write()?;
        self.store.put_design(database, document).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        self.store.databases().await
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Entry>> {
        self.store.snapshot()
    }

    async fn info(&self) -> Result<ServerInfo> {
        match &self.server {
            Some(server) => Ok(server.clone()),
            None => self.store.info().await,
        }
    }
}

fn hidden() -> ProgressBar {
    ProgressBar::hidden()
}

/// The stores that there are, each with the system's databases.
fn stores() -> impl Iterator<Item = TestStore> {
    Kind::all().into_iter().map(TestStore::new)
}

/// The CouchDB, if there is one.
fn couch() -> Option<TestStore> {
    stores().find(|store| matches!(store.kind, Kind::Couch(_)))
}

/// An embedded store, empty and alone, and its folder.
fn embedded() -> (TempDir, Arc<Embedded>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(folder.path(), native::ALL).unwrap());
    (folder, store)
}

/// An account whose database has no design document.
fn bare_account(store: &TestStore) -> AccountId {
    let id: AccountId = new_id();
    block_on(async {
        store.store().create(&id.database()).await.unwrap();
        put(&store.store(), id, own_document(id)).await;
    });
    id
}

fn own_document(id: AccountId) -> Value {
    json!({"_id": id.as_str(), "name": "Bare", "pvt_type": "account", "pvt_tree": []})
}

async fn put(store: &SharedServer, account: AccountId, tree: Value) {
    store.put(&account.database(), &document(tree)).await.unwrap();
}

fn group(id: &str, endpoints: Value) -> Value {
    json!({"_id": id, "name": id, "pvt_type": "group", "endpoints": endpoints})
}

/// What `views` found in the one database that was asked for.
fn one(report: Report) -> Found {
    assert_eq!(report.databases.len(), 1);
    report.databases.into_iter().next().unwrap()
}

fn owners(found: &Found) -> BTreeMap<&str, Owner> {
    found.designs.iter().map(|design| (design.name, design.owner)).collect()
}

async fn check(store: &SharedServer, account: AccountId) -> Found {
    one(operate::views::check(store.as_ref(), Some(account), &hidden()).await.unwrap())
}

/// A design document with a `groups` as Kazoo has them: the same rows by other means, and a view more.
fn kazoos_groups(name: &str) -> Value {
    let row = format!(
        "var on = Object.keys(doc.smartpbx || {{}}).filter(function (k) {{ return doc.smartpbx[k].enabled; }});
         on.reverse();
         var row = {{flags: doc.flags || [], features: on, endpoints: Object.keys(doc.endpoints || {{}}).length,
                     name: {name}, id: doc._id}};"
    );
    let is_group = "if (doc.pvt_type != 'group' || doc.pvt_deleted) return;";
    json!({
        "_id": "_design/groups", "language": "javascript",
        "views": {
            "crossbar_listing": {"map": format!("function (doc) {{ {is_group} {row} emit(doc._id, row); }}")},
            "crossbar_listing_by_user": {"map": format!(
                "function (doc) {{ {is_group} {row} Object.keys(doc.endpoints || {{}}).forEach(function (id) {{
                   if (doc.endpoints[id].type == 'user') emit(id, row); }}); }}"
            )},
            "of_their_own": {"map": "function (doc) { emit(null, 1); }"},
        },
    })
}
