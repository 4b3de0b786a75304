//! `audit`: each fault of the documents is found, and what it says that it mends is mended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Watched, couch, group, hidden, put, stores};
use crate::common::program::run;
use crate::common::{TestAccount, block_on, document};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::views as native;
use crossbar_groups::operate::audit::{self, Outcome};
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{Server, SharedServer, Store};
use crossbar_groups::world::World;

/// An account with one of each fault; gives them as lines of the report's JSON, without the database.
async fn plant(store: &SharedServer, account: &TestAccount) -> Vec<Value> {
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

async fn faults(store: &SharedServer, account: AccountId) -> Vec<Value> {
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
            let shared: SharedServer = watched.clone();
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
async fn mend_the_rest(store: &SharedServer, account: AccountId) {
    for (id, fields) in [
        ("g-skipped", json!({"smartpbx": {}})),
        ("g-skipped-by-user", json!({"endpoints": {"u1": {"type": "user"}}})),
        ("w-id", json!({"pvt_account_id": account.as_str()})),
        ("w-db", json!({"pvt_account_db": account.encoded_database()})),
    ] {
        let there = store.get(&account.database(), &id.parse().unwrap()).await.unwrap().unwrap();
        let mut there = Arc::unwrap_or_clone(there);
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
