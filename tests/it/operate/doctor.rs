//! `doctor`: each thing that a store may lack is found, and told with what to do about it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{Watched, bare_account, couch, embedded, hidden, one, own_document, stores};
use crate::common::program::run;
use crate::common::proxy::Proxy;
use crate::common::{block_on, couchdb_url, document, import, seed_files};
use crossbar_groups::document::DbName;
use crossbar_groups::kazoo::account::{ACCOUNTS, AccountId};
use crossbar_groups::kazoo::views as native;
use crossbar_groups::operate::{doctor, views};
use crossbar_groups::store::couch::{Couch, CouchOptions};
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{Nodes, ServerInfo, SharedServer};
use crossbar_groups::world::World;

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

#[test]
fn a_store_that_is_well_has_no_failure() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let shared = store.store();
            shared.create(&ACCOUNTS.parse().unwrap()).await.unwrap();
            with_copy_in_accounts(&shared, account.id, async || {
                let report = doctor::examine(&shared, Some(account.id), World::real(), &hidden()).await;
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
async fn with_copy_in_accounts(store: &SharedServer, account: AccountId, work: impl AsyncFnOnce()) {
    let accounts: DbName = ACCOUNTS.parse().unwrap();
    let revision = store.put(&accounts, &document(own_document(account))).await.unwrap();
    work().await;
    let mut gone = document(own_document(account));
    gone.set_text("_rev", &revision.to_string());
    gone.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
    store.put(&accounts, &gone).await.unwrap();
}

/// A store of one's own with the seed, of which a system document is changed.
async fn changed_seed(database: &str, id: &str, change: impl FnOnce(&mut Value)) -> (TempDir, SharedServer) {
    let (folder, store) = embedded();
    let store: SharedServer = store;
    import(store.as_ref(), seed_files()).await;
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
        assert_fails(&doctor::examine(&store, None, World::real(), &hidden()).await, &["system key"]);

        let (_folder, store) = changed_seed("system_config", "auth", |auth| {
            auth["default"].as_object_mut().unwrap().remove("secret_for_user_signature");
        })
        .await;
        assert_fails(&doctor::examine(&store, None, World::real(), &hidden()).await, &["secret"]);

        let attach = |text: &str| {
            use base64::Engine;
            let data = base64::engine::general_purpose::STANDARD.encode(text);
            json!({"private_key.pem": {"content_type": "application/x-pem-file", "data": data}})
        };
        for pem in ["no key", include_str!("../../rsa-1024.pem")] {
            let change = |key: &mut Value| key["_attachments"] = attach(pem);
            let (_folder, store) = changed_seed("system_auth", KEY, change).await;
            assert_fails(&doctor::examine(&store, None, World::real(), &hidden()).await, &["system key"]);
        }
        let detach = |key: &mut Value| drop(key.as_object_mut().unwrap().remove("_attachments"));
        let (_folder, store) = changed_seed("system_auth", KEY, detach).await;
        assert_fails(&doctor::examine(&store, None, World::real(), &hidden()).await, &["system key"]);
    });
}

#[test]
fn doctor_finds_an_empty_store() {
    let (_folder, store) = embedded();
    let store: SharedServer = store;
    block_on(async {
        let report = doctor::examine(&store, None, World::real(), &hidden()).await;
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
            let mut gone = own.as_ref().clone();
            gone.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
            shared.put(&account.database(), &gone).await.unwrap();
            let found = one(views::check(shared.as_ref(), Some(account.id), &hidden()).await.unwrap());
            assert!(found.lacks_account && !found.is_well());
            let report = views::check(shared.as_ref(), Some(account.id), &hidden()).await.unwrap();
            assert!(report.to_string().contains("the account's own document is missing"), "{report}");
            shared.create(&ACCOUNTS.parse().unwrap()).await.unwrap();
            with_copy_in_accounts(&shared, account.id, async || {
                let report = doctor::examine(&shared, Some(account.id), World::real(), &hidden()).await;
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
        assert_fails(&doctor::examine(&store, None, World::real(), &hidden()).await, &["schemas"]);
    });
}

#[test]
fn doctor_finds_missing_views() {
    let Some(store) = couch() else { return };
    let account = bare_account(&store);
    block_on(async {
        let report = doctor::examine(&store.store(), Some(account), World::real(), &hidden()).await;
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
        let server = ServerInfo::Couch { version, nodes, time, failing: Vec::new() };
        Arc::new(Watched { server: Some(server), ..Watched::new(Arc::clone(&seeded)) }) as SharedServer
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
            let report = doctor::examine(&store, None, World::real(), &hidden()).await;
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
    let store: SharedServer = Arc::new(Couch::new(&nodes, &CouchOptions::default()).unwrap());
    let report = block_on(doctor::examine(&store, None, World::real(), &hidden()));
    assert!(failures(&report).contains(&"reachable"), "{report}");
    let address = Url::parse(&nodes[1]).unwrap();
    let named = format!("it answers, but not by 127.0.0.1:{}: ", address.port().unwrap());
    assert!(report.to_string().contains(&named), "{report}");
}

#[test]
fn doctors_exit_status_says_whether_anything_failed() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async { import(&Embedded::open(folder.path(), native::ALL).unwrap(), seed_files()).await });
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
