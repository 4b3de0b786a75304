//! What operators do: `views`, `doctor`, `audit`, `migrate`, on every store.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::common::proxy::Proxy;
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, couchdb_url, document, seed_files};
use crossbar_groups::document::{DbName, DocId, Document, Revision};
use crossbar_groups::dump::{self, Dump};
use crossbar_groups::kazoo::account::{ACCOUNTS, AccountId};
use crossbar_groups::kazoo::views as native;
use crossbar_groups::operate::audit::{self, Outcome};
use crossbar_groups::operate::views::{Found, Owner, Rows};
use crossbar_groups::operate::{doctor, migrate, views};
use crossbar_groups::store::couch::Couch;
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{self, Nodes, Query, Result, Row, Server, SharedStore, Store, View};
use crossbar_groups::world::World;
use url::Url;

// ---- a store that is watched

/// A store that counts what is written to another, and can be made to do as a test wants.
struct Watched {
    store: SharedStore,
    writes: AtomicUsize,
    /// After so many writes it is not reached any more.
    breaks_after: usize,
    /// What it says that it is.
    server: Option<Server>,
    /// What somebody else does right before a document is written.
    rival: Option<fn(Document) -> Document>,
}

impl Watched {
    fn new(store: SharedStore) -> Self {
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
    async fn get(&self, database: &DbName, id: &DocId) -> Result<Option<Document>> {
        self.store.get(database, id).await
    }

    async fn put(&self, database: &DbName, document: &Document) -> Result<Revision> {
        self.write()?;
        if let Some(rival) = self.rival {
            let id = document.id().unwrap().parse().unwrap();
            let there = self.store.get(database, &id).await?.unwrap();
            self.store.put(database, &rival(there)).await?;
        }
        self.store.put(database, document).await
    }

    async fn query(&self, database: &DbName, view: &View, query: &Query) -> Result<Vec<Row>> {
        self.store.query(database, view, query).await
    }

    async fn attachment(&self, database: &DbName, id: &DocId, name: &str) -> Result<Option<Bytes>> {
        self.store.attachment(database, id, name).await
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        self.store.create(database).await
    }

    async fn prepare(&self, database: &DbName) -> Result<()> {
        self.write()?;
        self.store.prepare(database).await
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        self.write()?;
        self.store.load(database, documents).await
    }

    async fn dump(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        self.store.dump(database, after, limit).await
    }

    async fn documents(&self, database: &DbName, after: Option<&str>, limit: usize) -> Result<Option<Vec<Document>>> {
        self.store.documents(database, after, limit).await
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

    async fn server(&self) -> Result<Server> {
        match &self.server {
            Some(server) => Ok(server.clone()),
            None => self.store.server().await,
        }
    }
}

// ---- what the tests put into stores

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

/// An account whose database has no design document.
fn bare_account(store: &TestStore) -> AccountId {
    let id: AccountId = uuid::Uuid::new_v4().simple().to_string().parse().unwrap();
    block_on(async {
        store.store().create(&id.database()).await.unwrap();
        put(&store.store(), id, own_document(id)).await;
    });
    id
}

fn own_document(id: AccountId) -> Value {
    json!({"_id": id.as_str(), "name": "Bare", "pvt_type": "account", "pvt_tree": []})
}

async fn put(store: &SharedStore, account: AccountId, tree: Value) -> Revision {
    store.put(&account.database(), &document(tree)).await.unwrap()
}

fn group(id: &str, endpoints: Value) -> Value {
    json!({"_id": id, "name": id, "pvt_type": "group", "endpoints": endpoints})
}

async fn put_groups(store: &SharedStore, account: AccountId) {
    let user = json!({"_id": "u1", "pvt_type": "user", "enabled": true, "pvt_md5_auth": "5", "pvt_sha1_auth": "1"});
    put(store, account, user).await;
    for number in 0..5 {
        let endpoints = json!({"u1": {"type": "user"}, "u2": {"type": "user"}, "d": {"type": "device"}});
        let mut group = group(&format!("g{number}"), endpoints);
        group["smartpbx"] = json!({"b": {"enabled": true}, "a": {"enabled": 1}});
        group["flags"] = json!(["x", 1.50, 2.0]);
        put(store, account, group).await;
    }
}

/// What `views` found in the one database that was asked for.
fn one(report: views::Report) -> Found {
    assert_eq!(report.databases.len(), 1);
    report.databases.into_iter().next().unwrap()
}

fn owners(found: &Found) -> BTreeMap<&str, Owner> {
    found.designs.iter().map(|design| (design.name, design.owner)).collect()
}

fn rows<'f>(found: &'f Found, view: &str) -> &'f Rows {
    &found.views.iter().find(|of| of.view == view).unwrap().rows
}

async fn check(store: &SharedStore, account: AccountId) -> Found {
    one(views::check(store.as_ref(), Some(account), &hidden()).await.unwrap())
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

// ---- views

#[test]
fn views_are_installed_once() {
    for store in stores() {
        let account = bare_account(&store);
        block_on(async {
            let watched = Arc::new(Watched::new(store.store()));
            let shared: SharedStore = watched.clone();
            put_groups(&shared, account).await;
            let before = watched.writes();
            let is_native = matches!(store.kind, Kind::Embedded);

            let found = check(&shared, account).await;
            let missing = if is_native { Owner::Native } else { Owner::Missing };
            assert_eq!(owners(&found), BTreeMap::from([("groups", missing), ("users", missing)]));
            let there = if is_native { Rows::Same } else { Rows::Missing };
            assert!(found.views.len() == 4 && found.views.iter().all(|view| view.rows == there), "{found:?}");
            assert_eq!(found.is_well(), is_native);
            assert_eq!(watched.writes(), before, "check writes nothing");

            let install = async || one(views::install(&*watched, Some(account), &[], &hidden()).await.unwrap());
            let installed = if is_native { Owner::Native } else { Owner::Installed };
            let found = install().await;
            assert_eq!(owners(&found), BTreeMap::from([("groups", installed), ("users", installed)]));
            let after = watched.writes();
            assert_eq!(after - before, if is_native { 0 } else { 2 });

            let found = install().await;
            let ours = if is_native { Owner::Native } else { Owner::Ours };
            assert_eq!(owners(&found), BTreeMap::from([("groups", ours), ("users", ours)]));
            assert_eq!(watched.writes(), after, "a second run makes no write");

            let found = check(&shared, account).await;
            assert!(found.is_well() && found.views.iter().all(|view| view.rows == Rows::Same), "{found:?}");
        });
    }
}

#[test]
fn an_installation_that_was_stopped_goes_on() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let broken = Watched { breaks_after: 1, ..Watched::new(store.store()) };
        let found = one(views::install(&broken, Some(account), &[], &hidden()).await.unwrap());
        assert!(found.error.as_ref().is_some_and(|error| error.contains("the test broke it")), "{found:?}");
        let found = one(views::install(&*store.store(), Some(account), &[], &hidden()).await.unwrap());
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Ours), ("users", Owner::Installed)]));
    });
}

#[test]
fn kazoos_own_design_documents_stay_unless_they_are_named() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let watched = Arc::new(Watched::new(store.store()));
        let shared: SharedStore = watched.clone();
        put_groups(&shared, account).await;
        let database = account.database();
        let theirs = shared.put_design(&database, &document(kazoos_groups("doc.name"))).await.unwrap();
        let devices = json!({"_id": "_design/devices", "views": {"x": {"map": "function (doc) {}"}}});
        shared.put_design(&database, &document(devices)).await.unwrap();

        // another order of features and of fields, other digits of numbers: the same rows
        let found = check(&shared, account).await;
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Kazoo), ("users", Owner::Missing)]));
        assert_eq!(found.other_designs, ["devices"]);
        assert_eq!(rows(&found, "groups/crossbar_listing"), &Rows::Same);
        assert_eq!(rows(&found, "groups/crossbar_listing_by_user"), &Rows::Same);
        assert_eq!(rows(&found, "users/creds_by_sha"), &Rows::Missing);

        let install = async |replace: &[&str]| {
            let replace: Vec<String> = replace.iter().map(|name| (*name).to_owned()).collect();
            one(views::install(&*watched, Some(account), &replace, &hidden()).await.unwrap())
        };
        let found = install(&["users"]).await;
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Kazoo), ("users", Owner::Installed)]));
        let revision = async || {
            let designs = shared.design_documents(&database).await.unwrap().unwrap();
            designs.iter().find(|design| design.id().unwrap() == "_design/groups").unwrap().revision().unwrap()
        };
        assert_eq!(revision().await, theirs, "untouched");

        let found = install(&["groups", "users"]).await;
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Replaced), ("users", Owner::Ours)]));
        assert_eq!(revision().await.number(), theirs.number() + 1, "a normal revision");
        let writes = watched.writes();
        let found = install(&["groups", "users"]).await;
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Ours), ("users", Owner::Ours)]));
        assert_eq!(watched.writes(), writes, "ours is not replaced by ours");
    });
}

#[test]
fn rows_that_differ_are_told_by_their_documents() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let shared = store.store();
        put_groups(&shared, account).await;
        let name = "doc._id == 'g3' ? 'another' : doc.name";
        shared.put_design(&account.database(), &document(kazoos_groups(name))).await.unwrap();
        let found = check(&shared, account).await;
        let g3 = Rows::Different(vec!["g3".to_owned()]);
        assert_eq!(rows(&found, "groups/crossbar_listing"), &g3);
        assert_eq!(rows(&found, "groups/crossbar_listing_by_user"), &g3);
        assert!(!found.is_well());
        let report = views::check(&*shared, Some(account), &hidden()).await.unwrap().to_string();
        assert!(report.contains("groups/crossbar_listing") && report.contains("g3"), "{report}");
    });
}

#[test]
fn many_rows_of_one_key_are_all_compared() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let shared = store.store();
        let groups = (0..2_300).map(|at| document(group(&format!("g{at:04}"), json!({"u": {"type": "user"}}))));
        shared.load(&account.database(), groups.collect()).await.unwrap();
        views::install(&*shared, Some(account), &[], &hidden()).await.unwrap();
        let found = check(&shared, account).await;
        assert!(found.is_well(), "{found:?}");
    });
}

#[test]
fn a_list_whose_view_is_missing_is_an_error_and_not_empty() {
    let Some(store) = couch() else { return };
    let account = store.account();
    block_on(async {
        let lacking =
            json!({"_id": "_design/groups", "views": {"crossbar_listing_by_user": {"map": "function (doc) {}"}}});
        let mut lacking = document(lacking);
        let designs = store.store().design_documents(&account.database()).await.unwrap().unwrap();
        let ours = designs.iter().find(|design| design.id().unwrap() == "_design/groups").unwrap();
        lacking.set("_rev", ours.get("_rev").unwrap().to_owned());
        store.store().put_design(&account.database(), &lacking).await.unwrap();
        let found = check(&store.store(), account.id).await;
        assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Other), ("users", Owner::Ours)]));
        assert_eq!(rows(&found, "groups/crossbar_listing"), &Rows::Missing);
    });
    let app = TestApp::unlimited(store.store());
    let answer = app.get(&account.path("groups"), &account.token);
    assert_eq!(answer.status, 503);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["message"], "datastore_missing_view");
    let view = store::Error::MissingView { database: account.database(), design: "groups", view: "crossbar_listing" };
    assert!(view.to_string().contains("crossbar-groups views install"), "{view}");
}

#[test]
fn an_account_without_its_database_is_told_and_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let store = Embedded::open(folder.path(), native::ALL).unwrap();
        import_seed(&store).await;
        let lost: AccountId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        store.put(&ACCOUNTS.parse().unwrap(), &document(own_document(lost))).await.unwrap();
        let report = views::check(&store, None, &hidden()).await.unwrap();
        assert_eq!(report.databases.len(), 1 + 9 + 1);
        let unwell: Vec<&Found> = report.databases.iter().filter(|found| !found.is_well()).collect();
        assert_eq!(unwell.len(), 1);
        assert_eq!(unwell[0].database, lost.database().as_str());
        assert!(unwell[0].error.is_some());
    });
}

// ---- doctor

fn failures(report: &doctor::Report) -> Vec<&'static str> {
    let failed = report.checks.iter().filter(|check| matches!(check.outcome, doctor::Outcome::Failed { .. }));
    failed.map(|check| check.name).collect()
}

/// What is wrong is told with what to do about it.
fn assert_fails(report: &doctor::Report, names: &[&str]) {
    assert_eq!(failures(report), names, "{report}");
    for check in &report.checks {
        if let doctor::Outcome::Failed { problem, remedy } = &check.outcome {
            assert!(!problem.is_empty() && !remedy.is_empty(), "{check:?}");
        }
    }
    assert!(!report.is_well());
}

async fn import_seed(store: &dyn Store) {
    for file in seed_files() {
        Dump::check(&file).unwrap().import(store, |_| {}).await.unwrap();
    }
}

#[test]
fn a_store_that_is_well_has_no_failure() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let shared = store.store();
            shared.create(&ACCOUNTS.parse().unwrap()).await.unwrap();
            with_copy_in_accounts(&shared, account.id, async || {
                let report = doctor::examine(&shared, Some(account.id), World::real()).await;
                assert!(report.is_well(), "{report}");
                let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
                let all = "reachable, version, cluster, clock, accounts, system key, secret, views, account documents, \
                    schemas, token";
                assert_eq!(names.join(", "), all);
                let token = &report.checks.last().unwrap().outcome;
                assert!(matches!(token, doctor::Outcome::Ok { .. }), "{token:?}");
            })
            .await;
        });
    }
}

/// Does something while `accounts` has a copy of an account's document; others share the database.
async fn with_copy_in_accounts(store: &SharedStore, account: AccountId, work: impl AsyncFnOnce()) {
    let accounts: DbName = ACCOUNTS.parse().unwrap();
    let revision = store.put(&accounts, &document(own_document(account))).await.unwrap();
    work().await;
    let mut gone = document(own_document(account));
    gone.set_text("_rev", &revision.to_string());
    gone.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
    store.put(&accounts, &gone).await.unwrap();
}

/// A store of one's own with the seed, of which a system document is changed.
async fn changed_seed(database: &str, id: &str, change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, SharedStore) {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStore = Arc::new(Embedded::open(folder.path(), native::ALL).unwrap());
    import_seed(store.as_ref()).await;
    let database: DbName = database.parse().unwrap();
    let found = store.get(&database, &id.parse().unwrap()).await.unwrap().unwrap();
    let mut tree: Value = serde_json::from_str(&found.to_json()).unwrap();
    change(&mut tree);
    store.put(&database, &document(tree)).await.unwrap();
    (folder, store)
}

#[test]
fn doctor_finds_what_is_wrong_with_keys_and_secrets() {
    const KEY: &str = "90a960a798d9c9fd26dbce6745958214";
    block_on(async {
        let (_folder, store) = changed_seed("system_config", "auth", |auth| {
            auth["default"].as_object_mut().unwrap().remove("system_key");
        })
        .await;
        assert_fails(&doctor::examine(&store, None, World::real()).await, &["system key"]);

        let (_folder, store) = changed_seed("system_config", "auth", |auth| {
            auth["default"].as_object_mut().unwrap().remove("secret_for_user_signature");
        })
        .await;
        assert_fails(&doctor::examine(&store, None, World::real()).await, &["secret"]);

        let attach = |text: &str| {
            use base64::Engine;
            let data = base64::engine::general_purpose::STANDARD.encode(text);
            json!({"private_key.pem": {"content_type": "application/x-pem-file", "data": data}})
        };
        for pem in ["no key", include_str!("../../rsa-1024.pem")] {
            let change = |key: &mut Value| key["_attachments"] = attach(pem);
            let (_folder, store) = changed_seed("system_auth", KEY, change).await;
            assert_fails(&doctor::examine(&store, None, World::real()).await, &["system key"]);
        }
        let detach = |key: &mut Value| drop(key.as_object_mut().unwrap().remove("_attachments"));
        let (_folder, store) = changed_seed("system_auth", KEY, detach).await;
        assert_fails(&doctor::examine(&store, None, World::real()).await, &["system key"]);
    });
}

#[test]
fn doctor_finds_an_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let store: SharedStore = Arc::new(Embedded::open(folder.path(), native::ALL).unwrap());
        let report = doctor::examine(&store, None, World::real()).await;
        assert_fails(&report, &["accounts", "system key", "secret", "views"]);
    });
}

#[test]
fn an_account_without_its_own_document_is_told() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let shared = store.store();
            let own = shared.get(&account.database(), &account.id.document_id()).await.unwrap().unwrap();
            let mut gone = own.clone();
            gone.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
            shared.put(&account.database(), &gone).await.unwrap();
            let found = one(views::check(shared.as_ref(), Some(account.id), &hidden()).await.unwrap());
            assert!(found.lacks_account && !found.is_well());
            let report = views::check(shared.as_ref(), Some(account.id), &hidden()).await.unwrap();
            assert!(report.to_string().contains("the account's own document is missing"), "{report}");
            shared.create(&ACCOUNTS.parse().unwrap()).await.unwrap();
            with_copy_in_accounts(&shared, account.id, async || {
                let report = doctor::examine(&shared, Some(account.id), World::real()).await;
                assert_eq!(failures(&report)[..1], ["account documents"], "{report}");
            })
            .await;
        });
    }
}

#[test]
fn doctor_finds_a_schema_that_is_none() {
    let (_folder, store) = block_on(changed_seed("system_config", "auth", |_| {}));
    let database: DbName = "system_schemas".parse().unwrap();
    block_on(async {
        store.create(&database).await.unwrap();
        store.put(&database, &document(json!({"_id": "groups", "type": "nothing"}))).await.unwrap();
        assert_fails(&doctor::examine(&store, None, World::real()).await, &["schemas"]);
    });
}

#[test]
fn doctor_finds_missing_views() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let report = doctor::examine(&store.store(), Some(account), World::real()).await;
        assert!(failures(&report).contains(&"views"), "{report}");
        assert!(report.to_string().contains("views install"), "{report}");
    });
}

#[test]
fn doctor_finds_what_is_wrong_with_the_server() {
    let (_folder, seeded) = block_on(changed_seed("system_config", "auth", |_| {}));
    let say = |version: &str, connected: &[&str], off: i64| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let nodes = Nodes { cluster: names(&["a@x", "b@x", "c@x"]), connected: names(connected) };
        let (now, by) = (SystemTime::now(), Duration::from_secs(off.unsigned_abs()));
        let time = if off < 0 { now - by } else { now + by };
        let (version, nodes, time) = (version.to_owned(), Some(nodes), Some(time));
        let server = Server::Couch { version, nodes, time, failing: Vec::new() };
        Arc::new(Watched { server: Some(server), ..Watched::new(Arc::clone(&seeded)) }) as SharedStore
    };
    let all = ["a@x", "b@x", "c@x"];
    block_on(async {
        // its databases have no design documents, which a CouchDB needs
        for (store, failed) in [
            (say("3.5.0", &all, 0), &["views"][..]),
            (say("1.7.2", &all, 0), &["version", "views"]),
            (say("?", &all, 0), &["version", "views"]),
            (say("3.5.0", &all[..2], 0), &["cluster", "views"]),
            (say("3.5.0", &all, 60), &["clock", "views"]),
            (say("3.5.0", &all, -60), &["clock", "views"]),
        ] {
            let report = doctor::examine(&store, None, World::real()).await;
            assert_fails(&report, failed);
        }
    });
}

#[test]
fn doctor_finds_a_node_that_does_not_answer() {
    let Some(url) = couchdb_url() else { return };
    let away = Proxy::before(&url);
    away.cut();
    let nodes = [url.clone(), away.url(&url)];
    let store: SharedStore = Arc::new(Couch::new(&nodes, native::DESIGN_DOCUMENTS).unwrap());
    let report = block_on(doctor::examine(&store, None, World::real()));
    assert!(failures(&report).contains(&"reachable"), "{report}");
    let address = Url::parse(&nodes[1]).unwrap();
    let named = format!("it answers, but not by 127.0.0.1:{}: ", address.port().unwrap());
    assert!(report.to_string().contains(&named), "{report}");
}

#[test]
fn doctors_exit_status_says_whether_anything_failed() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async { import_seed(&Embedded::open(folder.path(), native::ALL).unwrap()).await });
    let store = folder.path().to_str().unwrap();
    let healthy = run(&["doctor", "--store", store]);
    assert!(healthy.status.success(), "{healthy:?}");

    // nobody listens on port 1
    let away = run(&["doctor", "--store", "http://admin:hunter2@127.0.0.1:1"]);
    let told = String::from_utf8(away.stdout).unwrap();
    assert_eq!(away.status.code(), Some(1));
    assert!(told.starts_with("FAILED") && told.contains("reachable") && !told.contains("hunter2"), "{told}");

    let json = run(&["doctor", "--json", "--store", store]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["checks"][0], json!({"name": "reachable", "outcome": "ok", "found": "it answers"}));
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossbar-groups"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

// ---- audit

/// An account with one of each fault; gives them as lines of the report's JSON, without the database.
async fn plant(store: &SharedStore, account: &TestAccount) -> Vec<Value> {
    let (id, other) = (account.id, "ffffffffffffffffffffffffffffffff");
    let encoded = id.encoded_database();
    for (id, kind, deleted) in
        [("u1", "user", false), ("u-gone", "user", true), ("d1", "device", false), ("d-gone", "device", true)]
    {
        put(store, account.id, json!({"_id": id, "pvt_type": kind, "enabled": true, "pvt_deleted": deleted})).await;
    }
    put(
        store,
        id,
        json!({"_id": "g-gone", "pvt_type": "group", "pvt_deleted": true, "endpoints": {"no": {"type": "user"}}}),
    )
    .await;
    let mut well =
        group("g-well", json!({"u1": {"type": "user"}, "d1": {"type": "device"}, "z-well": {"type": "group"}}));
    (well["pvt_account_id"], well["pvt_account_db"]) = (json!(id.as_str()), json!(encoded));
    put(store, id, well).await;
    // it comes after the group that names it; what says not what it names is left alone
    put(store, id, group("z-well", json!({"somebody": {}, "else": {"type": "robot"}, "more": null}))).await;
    let dangling = json!({
        "u1": {"type": "user"}, "u-gone": {"type": "user"}, "d-gone": {"type": "device"}, "g-gone": {"type": "group"},
        "nobody": {"type": "user", "delay": 1.50}, "d1": {"type": "device", "weight": "2"},
    });
    let mut dangling = group("g-dangling", dangling);
    (dangling["extra"], dangling["pvt_auth_user_id"]) = (json!({"b": 1, "a": 2}), json!("u1"));
    put(store, id, dangling).await;
    put(store, id, group("g-dangling-too", json!({"nobody": {"type": "user"}}))).await;
    let mut skipped = group("g-skipped", json!({}));
    skipped["smartpbx"] = json!({"x": null});
    put(store, id, skipped).await;
    put(store, id, group("g-skipped-by-user", json!({"u1": {"type": "user"}, "v": null}))).await;
    put(store, id, json!({"_id": "w-id", "pvt_type": "menu", "pvt_account_id": other, "pvt_account_db": encoded}))
        .await;
    put(store, id, json!({"_id": "w-db", "pvt_type": "menu", "pvt_account_db": "account%2Fff"})).await;

    let dangles = |group: &str, endpoint: &str, names: &str, target: &str| json!({"document": group, "fault": "dangling_endpoint", "endpoint": endpoint, "names": names, "target": target});
    let skips = |group: &str, view: &str| json!({"document": group, "fault": "skipped_by_view", "view": view});
    vec![
        dangles("g-dangling", "d-gone", "device", "deleted"),
        dangles("g-dangling", "g-gone", "group", "deleted"),
        dangles("g-dangling", "nobody", "user", "missing"),
        dangles("g-dangling", "u-gone", "user", "deleted"),
        dangles("g-dangling-too", "nobody", "user", "missing"),
        skips("g-skipped", "groups/crossbar_listing"),
        skips("g-skipped-by-user", "groups/crossbar_listing_by_user"),
        json!({"document": "w-db", "fault": "wrong_account_db", "found": "account%2Fff"}),
        json!({"document": "w-id", "fault": "wrong_account_id", "found": other}),
    ]
}

async fn faults(store: &SharedStore, account: AccountId) -> Vec<Value> {
    let report = audit::audit(store.as_ref(), Some(account), &hidden()).await.unwrap();
    let mut faults = serde_json::to_value(&report).unwrap()["faults"].as_array().unwrap().clone();
    for fault in &mut faults {
        assert_eq!(fault.as_object_mut().unwrap().remove("database").unwrap(), account.database().as_str());
    }
    faults
}

#[test]
fn audit_finds_each_fault_and_mends_what_it_says() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let watched = Arc::new(Watched::new(store.store()));
            let shared: SharedStore = watched.clone();
            let planted = plant(&shared, &account).await;
            let before = watched.writes();
            let report = audit::audit(&*watched, Some(account.id), &hidden()).await.unwrap();
            assert_eq!(faults(&shared, account.id).await, planted);
            assert_eq!(report.dangling(), (5, 2));
            assert_eq!(watched.writes(), before, "an audit only reads");

            let there = shared.get(&account.database(), &"g-dangling".parse().unwrap()).await.unwrap().unwrap();
            let mended = audit::fix(&*watched, &report, world_of_2026()).await;
            assert_eq!(watched.writes() - before, 2, "one write for each group");
            let removed: Vec<(&str, &Outcome)> = mended.iter().map(|of| (of.document.as_str(), &of.outcome)).collect();
            assert_eq!(removed.len(), 2);
            let (_, Outcome::Removed { endpoints, revision }) = removed[0] else { panic!("{removed:?}") };
            assert_eq!(endpoints, &["u-gone", "d-gone", "g-gone", "nobody"]);

            // a normal revision on top of the one that was there: all else as it was, and when it was changed
            let group = shared.get(&account.database(), &"g-dangling".parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(&group.revision().unwrap().to_string(), revision);
            assert_eq!(group.revision().unwrap().number(), there.revision().unwrap().number() + 1);
            let tree = |document: &Document| serde_json::from_str::<Value>(&document.to_json()).unwrap();
            let mut expected = tree(&there);
            expected["_rev"] = json!(revision);
            expected["endpoints"] = json!({"u1": {"type": "user"}, "d1": {"type": "device", "weight": "2"}});
            expected["pvt_modified"] = json!(63_935_308_800_i64);
            assert_eq!(tree(&group), expected);

            let is_dangling = |fault: &Value| fault["fault"] == "dangling_endpoint";
            let left: Vec<Value> = planted.into_iter().filter(|fault| !is_dangling(fault)).collect();
            assert_eq!(faults(&shared, account.id).await, left, "what it does not mend, it tells again");
            assert!(
                audit::fix(&*watched, &report, World::real()).await.iter().all(|of| of.outcome == Outcome::NothingLeft)
            );
            mend_the_rest(&shared, account.id).await;
            assert_eq!(faults(&shared, account.id).await, Vec::<Value>::new(), "clean");
        });
    }
}

/// Mends by hand what `--fix` leaves to people.
async fn mend_the_rest(store: &SharedStore, account: AccountId) {
    for (id, fields) in [
        ("g-skipped", json!({"smartpbx": {}})),
        ("g-skipped-by-user", json!({"endpoints": {"u1": {"type": "user"}}})),
        ("w-id", json!({"pvt_account_id": account.as_str()})),
        ("w-db", json!({"pvt_account_db": account.encoded_database()})),
    ] {
        let mut there = store.get(&account.database(), &id.parse().unwrap()).await.unwrap().unwrap();
        there.extend(document(fields));
        store.put(&account.database(), &there).await.unwrap();
    }
}

/// 2026-01-11T00:00:00Z, always.
fn world_of_2026() -> World {
    World { now: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_089_600), ..World::real() }
}

#[test]
fn audit_finds_conflicts() {
    let Some(store) = couch() else { return };
    let account = store.account();
    block_on(async {
        let shared = store.store();
        let revision = |rev: &str, name: &str| {
            document(json!({"_id": "g", "_rev": rev, "pvt_type": "group", "name": name, "endpoints": {}}))
        };
        let load = async |document| shared.load(&account.database(), vec![document]).await.unwrap();
        load(revision("1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "one")).await;
        load(revision("1-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "other")).await;
        let lost = json!(["1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]);
        let expected = json!({"document": "g", "fault": "conflict", "revisions": lost});
        assert_eq!(faults(&shared, account.id).await, [expected]);
    });
}

#[test]
fn audit_skips_a_group_that_somebody_else_writes() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let shared = store.store();
            put(&shared, account.id, group("g", json!({"nobody": {"type": "user"}}))).await;
            let rival = |mut document: Document| {
                document.set_text("name", "theirs");
                document
            };
            let watched = Watched { rival: Some(rival), ..Watched::new(Arc::clone(&shared)) };
            let report = audit::audit(&watched, Some(account.id), &hidden()).await.unwrap();
            let mended = audit::fix(&watched, &report, World::real()).await;
            assert_eq!(mended.len(), 1);
            assert_eq!(mended[0].outcome, Outcome::Conflict);
            assert!(mended[0].to_string().contains("skipped"));
            let group = shared.get(&account.database(), &"g".parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(group.text("name").unwrap(), "theirs", "nothing of theirs is lost");
        });
    }
}

#[test]
fn fix_asks_and_without_a_terminal_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (id, store) = ("3e30d852896b2a7fd6dd579074f12a3b", folder.path().to_str().unwrap());
    block_on(async {
        let store = Embedded::open(folder.path(), native::ALL).unwrap();
        let id: AccountId = id.parse().unwrap();
        store.create(&id.database()).await.unwrap();
        store.put(&id.database(), &document(group("g", json!({"nobody": {"type": "user"}})))).await.unwrap();
    });
    let audit = |more: &[&str]| run(&[&["audit", "--store", store, "--account", id], more].concat());
    let refused = audit(&["--fix"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--yes"));
    let found = audit(&[]);
    assert_eq!(found.status.code(), Some(1));
    assert!(String::from_utf8(found.stdout).unwrap().contains("endpoint nobody: there is no such user"));
    assert_eq!(audit(&["--yes"]).status.code(), Some(2), "--yes is nothing without --fix");
    let fixed = audit(&["--fix", "--yes", "--json"]);
    let report: Value = serde_json::from_slice(&fixed.stdout).unwrap();
    assert_eq!(report["mended"][0]["endpoints"], json!(["nobody"]));
    assert_eq!(report["faults"].as_array().unwrap().len(), 1);
    assert!(fixed.status.success());
    assert!(audit(&[]).status.success(), "clean");
}

// ---- migrate

/// A database as a dump file has it.
async fn dumped(store: &dyn Store, database: &DbName) -> String {
    let mut output = Vec::new();
    dump::export(store, database, &mut output).await.unwrap();
    String::from_utf8(output).unwrap()
}

/// Byte for byte; tells the first line that differs.
fn assert_same(one: &str, other: &str) {
    let different = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(different, None);
    assert_eq!(one.len(), other.len());
}

fn embedded() -> (tempfile::TempDir, Arc<Embedded>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(folder.path(), native::ALL).unwrap());
    (folder, store)
}

/// An account with many documents, some edited often, one with attachments, one of Kazoo's design documents.
async fn fill(store: &dyn Store) -> AccountId {
    let id: AccountId = uuid::Uuid::new_v4().simple().to_string().parse().unwrap();
    let (database, accounts) = (id.database(), ACCOUNTS.parse().unwrap());
    store.create(&database).await.unwrap();
    store.create(&accounts).await.unwrap();
    let mut documents = vec![document(own_document(id))];
    documents.extend((0..650).map(|at| document(group(&format!("{at:032x}"), json!({"ü": {"type": "user"}})))));
    let media = json!({
        "_id": "media", "_attachments": {
            "b.wav": {"content_type": "audio/wav", "data": "UklGRg=="},
            "a.txt": {"content_type": "text/plain", "data": "aGVsbG8="},
        },
        "big": 9007199254740991_i64, "fraction": 1.5, "empty": {}, "list": [null, true, ""], "text": "é\n\"😀",
    });
    documents.extend([document(media), document(kazoos_groups("doc.name"))]);
    store.load(&database, documents).await.unwrap();
    for _ in 0..3 {
        let mut edited = store.get(&database, &format!("{:032x}", 7).parse().unwrap()).await.unwrap().unwrap();
        edited.set_text("name", "edited");
        store.put(&database, &edited).await.unwrap();
    }
    store.put(&accounts, &document(own_document(id))).await.unwrap();
    id
}

#[test]
fn there_and_back_gives_the_same_dump() {
    for between in stores() {
        let ((_first, from), (_last, back)) = (embedded(), embedded());
        block_on(async {
            let account = fill(&*from).await;
            let database = account.database();
            let there = between.store();
            let report = migrate::migrate(&*from, &*there, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            // the account's own, the groups, the media, Kazoo's design document, and the copy in `accounts`
            assert_eq!(report.databases.iter().map(|carried| carried.written).sum::<u64>(), 1 + 650 + 1 + 1 + 1);

            let report = migrate::migrate(&*there, &*back, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            assert_same(&dumped(&*back, &database).await, &dumped(&*from, &database).await);
            let accounts = ACCOUNTS.parse().unwrap();
            assert_same(&dumped(&*back, &accounts).await, &dumped(&*from, &accounts).await);
            // ours is added where it is missing, Kazoo's stays
            let found = check(&there, account).await;
            if matches!(between.kind, Kind::Couch(_)) {
                assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Kazoo), ("users", Owner::Ours)]));
            }
            assert!(found.is_well(), "{found:?}");
            forget_copy(&there, account).await;
        });
    }
}

/// Others share `accounts`: an account that is no more is deleted there.
async fn forget_copy(store: &SharedStore, account: AccountId) {
    let accounts = ACCOUNTS.parse().unwrap();
    let mut copy = store.get(&accounts, &account.document_id()).await.unwrap().unwrap();
    copy.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
    store.put(&accounts, &copy).await.unwrap();
}

#[test]
fn a_migration_that_was_stopped_goes_on() {
    for to in stores() {
        let (_folder, from) = embedded();
        block_on(async {
            let account = fill(&*from).await;
            // the account's database takes more than one batch
            let broken = Watched { breaks_after: 1, ..Watched::new(to.store()) };
            let report = migrate::migrate(&*from, &broken, Some(account), &hidden()).await.unwrap();
            assert!(!report.is_well(), "{report}");
            assert!(report.to_string().contains("run it again"), "{report}");
            let first: u64 = documents_in(&*to.store(), account).await;
            assert!(first < 653, "{first}");

            let whole = Watched::new(to.store());
            let report = migrate::migrate(&*from, &whole, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            let written: u64 = report.databases.iter().map(|carried| carried.written).sum();
            assert!(written <= 654 && written + first >= 653, "{written} after {first}");

            let writes = whole.writes();
            let report = migrate::migrate(&*from, &whole, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            assert_eq!(report.databases.iter().map(|carried| carried.written).sum::<u64>(), 0);
            assert_eq!(whole.writes(), writes, "to start it again changes nothing");
            forget_copy(&to.store(), account).await;
        });
    }
}

async fn documents_in(store: &dyn Store, account: AccountId) -> u64 {
    let all = store.documents(&account.database(), None, 10_000).await.unwrap().unwrap_or_default();
    all.len() as u64
}

#[test]
fn what_differs_after_a_migration_is_told() {
    for to in stores() {
        let (_folder, from) = embedded();
        block_on(async {
            let account = fill(&*from).await;
            let more = document(json!({"_id": "more", "_rev": "9-ffffffffffffffffffffffffffffffff"}));
            to.store().create(&account.database()).await.unwrap();
            to.store().load(&account.database(), vec![more]).await.unwrap();
            let report = migrate::migrate(&*from, &*to.store(), Some(account), &hidden()).await.unwrap();
            let whole = report.databases.iter().find(|carried| carried.database == account.database()).unwrap();
            assert!(!whole.is_same() && !report.is_well());
            assert_eq!(whole.to.as_ref().unwrap().documents, whole.from.as_ref().unwrap().documents + 1);

            // as many, but not the same
            let less = document(json!({"_id": "less", "_rev": "1-eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}));
            from.load(
                &account.database(),
                vec![less, document(json!({"_id": "more", "_rev": "1-00000000000000000000000000000000"}))],
            )
            .await
            .unwrap();
            let report = migrate::migrate(&*from, &*to.store(), Some(account), &hidden()).await.unwrap();
            let whole = report.databases.iter().find(|carried| carried.database == account.database()).unwrap();
            assert_eq!(whole.to.as_ref().unwrap().documents, whole.from.as_ref().unwrap().documents);
            assert!(!whole.is_same(), "{report}");
            forget_copy(&to.store(), account).await;
        });
    }
}

#[test]
fn a_whole_store_is_carried() {
    let ((_first, from), (_second, to)) = (embedded(), embedded());
    block_on(async {
        import_seed(&*from).await;
        let report = migrate::migrate(&*from, &*to, None, &hidden()).await.unwrap();
        assert!(report.is_well(), "{report}");
        let databases = from.databases().await.unwrap();
        assert_eq!(databases.len(), 12);
        assert_eq!(to.databases().await.unwrap(), databases);
        for database in &databases {
            assert_same(&dumped(&*to, database).await, &dumped(&*from, database).await);
        }
        let (_third, empty) = embedded();
        assert!(migrate::migrate(&*empty, &*to, None, &hidden()).await.is_err(), "nothing to carry");
    });
}

#[test]
fn a_store_is_not_carried_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let refused = run(&["migrate", store, store]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the same store"));
}
