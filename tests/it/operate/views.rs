//! `views`: whose design documents are there, whether their rows are right, and what is installed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Watched, bare_account, check, couch, embedded, group, hidden, kazoos_groups, one, own_document, owners, put, stores,
};
use crate::common::{Kind, TestApp, block_on, document, import, seed_files};
use crossbar_groups::kazoo::account::{ACCOUNTS, AccountId};
use crossbar_groups::operate::views::{self, Found, Owner, Rows};
use crossbar_groups::store::{self, SharedServer, Store};

async fn put_groups(store: &SharedServer, account: AccountId) {
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

fn rows<'f>(found: &'f Found, view: &str) -> &'f Rows {
    &found.views.iter().find(|of| of.view == view).unwrap().rows
}

#[test]
fn views_are_installed_once() {
    for store in stores() {
        let account = bare_account(&store);
        block_on(async {
            let watched = Arc::new(Watched::new(store.store()));
            let shared: SharedServer = watched.clone();
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
        let shared: SharedServer = watched.clone();
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
        // what it says to do about it helps
        assert!(report.contains("views install --replace groups`"), "{report}");
        views::install(&*shared, Some(account), &["groups".to_owned()], &hidden()).await.unwrap();
        let mended = check(&shared, account).await;
        assert_eq!(rows(&mended, "groups/crossbar_listing"), &Rows::Same);
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
        let mut found = check(&shared, account).await;
        // views are built when they are first read; with others to serve, that takes longer than one waits for a read
        for _ in 0..5 {
            if found.views.iter().any(|view| matches!(view.rows, Rows::Failed(_))) {
                found = check(&shared, account).await;
            }
        }
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
    let (_folder, store) = embedded();
    block_on(async {
        import(&*store, seed_files()).await;
        let lost: AccountId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        store.put(&ACCOUNTS.parse().unwrap(), &document(own_document(lost))).await.unwrap();
        let report = views::check(&*store, None, &hidden()).await.unwrap();
        assert_eq!(report.databases.len(), 1 + 9 + 1);
        let unwell: Vec<&Found> = report.databases.iter().filter(|found| !found.is_well()).collect();
        assert_eq!(unwell.len(), 1);
        assert_eq!(unwell[0].database, lost.database().as_str());
        assert!(unwell[0].error.is_some());
    });
}
