//! `audit`: each fault of the documents is found, and what it says that it mends is mended.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Watched, couch, group, hidden, own_document, put, stores};
use crate::common::program::run;
use crate::common::{TestAccount, TestApp, block_on, document, new_id};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::views as native;
use crossbar_groups::operate::audit::{self, Outcome};
use crossbar_groups::operate::doctor;
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
        let mut document = json!({"_id": id, "pvt_type": kind, "enabled": true, "pvt_deleted": deleted});
        if kind == "device" {
            (document["owner_id"], document["sip"]) = (json!("u1"), json!({"username": id}));
        }
        put(store, account.id, document).await;
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
    // it comes after the group that names it
    put(store, id, group("z-well", json!({"d1": {"type": "device"}}))).await;
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
        json!({"document": "g-skipped-by-user", "fault": "not_an_object", "endpoint": "v", "is": null}),
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
            assert_eq!(report.mendable(), (6, 3));
            assert_eq!(watched.writes(), before, "an audit only reads");

            let there = shared.get(&account.database(), &"g-dangling".parse().unwrap()).await.unwrap().unwrap();
            let mended = audit::fix(&*watched, &report, world_of_2026()).await;
            assert_eq!(watched.writes() - before, 3, "one write for each group");
            let removed: Vec<(&str, &Outcome)> = mended.iter().map(|of| (of.document.as_str(), &of.outcome)).collect();
            assert_eq!(removed.len(), 3);
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

            let is_mended =
                |fault: &Value| fault["fault"] == "dangling_endpoint" || fault["document"] == "g-skipped-by-user";
            let left: Vec<Value> = planted.into_iter().filter(|fault| !is_mended(fault)).collect();
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
fn audit_and_doctor_find_an_account_that_lacks_its_own_document() {
    for store in stores() {
        let (none, deleted): (AccountId, AccountId) = (new_id(), new_id());
        block_on(async {
            let shared = store.store();
            shared.create(&none.database()).await.unwrap();
            shared.create(&deleted.database()).await.unwrap();
            let mut own = own_document(deleted);
            own["pvt_deleted"] = json!(true);
            put(&shared, deleted, own).await;
            for account in [none, deleted] {
                let expected = json!({"document": account.as_str(), "fault": "no_account_document"});
                assert_eq!(faults(&shared, account).await, [expected]);
                let report = audit::audit(&*shared, Some(account), &hidden()).await.unwrap().to_string();
                assert!(report.contains("clients get 404") && report.contains("put a copy"), "{report}");
                let report = doctor::examine(&shared, Some(account), World::real(), &hidden()).await;
                assert!(!report.is_well());
                assert!(
                    report.to_string().contains("FAILED   account documents: missing in 1 of 1 database"),
                    "{report}"
                );
            }
        });
        let app = TestApp::unlimited(store.store());
        assert_eq!(app.get(&format!("/v2/accounts/{none}/groups"), &store.account().token).status, 404);
    }
}

#[test]
fn what_audit_says_of_a_skipped_group_brings_it_back_into_lists() {
    for store in stores() {
        let account = store.account();
        block_on(plant(&store.store(), &account));
        let app = TestApp::unlimited(store.store());
        let groups = ["g-skipped", "g-skipped-by-user"];
        let report = block_on(audit::audit(store.store().as_ref(), Some(account.id), &hidden())).unwrap();
        for group in groups {
            let text = report.to_string();
            let line = text.lines().find(|line| line.contains(&format!(" {group}: the view"))).unwrap();
            let body = line.split("PATCH it with ").nth(1).unwrap().split(',').next().unwrap();
            let body = serde_json::from_str(body).unwrap();
            let answer = app.send("PATCH", &account.path(&format!("groups/{group}")), &account.token, Some(body));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let left = block_on(faults(&store.store(), account.id));
        assert!(left.iter().all(|fault| fault["fault"] != "skipped_by_view"), "{left:?}");
        let listed = app.get(&account.path("groups?paginate=false"), &account.token).text();
        assert!(groups.iter().all(|group| listed.contains(&format!("\"id\":\"{group}\""))), "{listed}");
    }
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
        store.put(&id.database(), &document(own_document(id))).await.unwrap();
        store.put(&id.database(), &document(group("g", json!({"nobody": {"type": "user"}})))).await.unwrap();
    });
    let audit = |more: &[&str]| run(&[&["audit", "--store", store, "--account", id], more].concat());
    let refused = audit(&["--fix"]);
    assert_eq!(refused.status.code(), Some(2));
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

/// An account in which groups and callflows ring otherwise than it seems; gives the lines of the report's JSON.
async fn plant_silence(store: &SharedServer, id: AccountId) -> Vec<Value> {
    for device in ["d1", "d2"] {
        put(store, id, json!({"_id": device, "pvt_type": "device", "sip": {"username": device}})).await;
    }
    put(store, id, json!({"_id": "m", "pvt_type": "menu"})).await;
    put(store, id, json!({"_id": "g-gone", "pvt_type": "group", "pvt_deleted": true, "endpoints": {}})).await;
    let device = json!({"type": "device", "weight": 1});
    for (group_id, endpoints) in [
        ("circle-a", json!({"circle-b": {"type": "group"}, "d1": device})),
        ("circle-b", json!({"circle-a": {}, "d1": device})),
        ("itself", json!({"itself": {"type": "group"}})),
        ("no-type", json!({"d1": {"delay": 1.50}, "d2": device, "nobody": {"type": ""}, "m": {}})),
        ("odd", json!({"d1": {"weight": 3, "type": "robot"}, "nobody": {"type": 7}})),
        ("no-object", json!({"d1": true, "d2": [1], "nobody": 5})),
        (
            "weights",
            json!({
                "d1": device, "d2": {"type": "device", "weight": "0"}, "inner": {"type": "group"},
            }),
        ),
        ("inner", json!({"d1": {"type": "device"}})),
        ("silent", json!({"u": {"type": "device"}})),
        // which no callflow rings
        ("empty", json!({})),
    ] {
        put(store, id, group(group_id, endpoints)).await;
    }
    put(store, id, json!({"_id": "u", "pvt_type": "user"})).await;
    let rings = |strategy: &str, group: &str| json!({"strategy": strategy, "endpoints": [{"id": group, "endpoint_type": "group"}, {"id": "d1"}]});
    let pickup = json!({"module": "group_pickup", "data": {"group_id": "g-gone"}, "children": {}});
    let page = json!({"module": "page_group", "data": rings("", "nowhere"), "children": {"_": pickup}});
    let single = json!({"module": "ring_group", "data": rings("single", "weights"), "children": {"2": page}});
    let flow = json!({"module": "menu", "data": {"id": "m"}, "children": {"1": single}});
    put(store, id, json!({"_id": "c1", "pvt_type": "callflow", "name": "Main", "numbers": ["100"], "flow": flow}))
        .await;
    let random = json!({"module": "ring_group", "data": rings("weighted_random", "silent"), "children": {}});
    put(store, id, json!({"_id": "c2", "pvt_type": "callflow", "numbers": [], "flow": random})).await;

    let main = json!([{"id": "c1", "name": "Main", "numbers": ["100"]}]);
    let other = json!([{"id": "c2", "name": null, "numbers": []}]);
    vec![
        json!({"document": "c1", "fault": "names_no_group", "group": "g-gone", "module": "group_pickup",
               "children": ["1", "2", "_"], "target": "deleted", "affected": main}),
        json!({"document": "c1", "fault": "names_no_group", "group": "nowhere", "module": "page_group",
               "children": ["1", "2"], "target": "missing", "affected": main}),
        json!({"document": "c2", "fault": "weighted_random", "children": [], "affected": other}),
        json!({"document": "circle-a", "fault": "circle", "groups": ["circle-a", "circle-b"]}),
        json!({"document": "circle-b", "fault": "no_type", "endpoint": "circle-a", "is": "group"}),
        json!({"document": "circle-b", "fault": "circle", "groups": ["circle-b", "circle-a"]}),
        json!({"document": "inner", "fault": "no_weight", "endpoints": ["d1"], "affected": main}),
        json!({"document": "itself", "fault": "circle", "groups": ["itself"]}),
        json!({"document": "no-object", "fault": "not_an_object", "endpoint": "d1", "is": "device"}),
        json!({"document": "no-object", "fault": "not_an_object", "endpoint": "d2", "is": "device"}),
        json!({"document": "no-object", "fault": "not_an_object", "endpoint": "nobody", "is": null}),
        json!({"document": "no-type", "fault": "no_type", "endpoint": "d1", "is": "device"}),
        json!({"document": "no-type", "fault": "no_type", "endpoint": "m", "is": "menu"}),
        json!({"document": "no-type", "fault": "no_type", "endpoint": "nobody", "is": null}),
        json!({"document": "odd", "fault": "odd_type", "endpoint": "d1", "says": "\"robot\"", "is": "device"}),
        json!({"document": "odd", "fault": "odd_type", "endpoint": "nobody", "says": "7", "is": null}),
        json!({"document": "silent", "fault": "rings_nobody", "members": 1, "affected": other}),
        json!({"document": "weights", "fault": "no_weight", "endpoints": ["inner"], "affected": main}),
        json!({"document": "weights", "fault": "equal_weight", "weight": 1, "endpoints": ["d1", "d2"], "affected": main}),
    ]
}

#[test]
fn audit_finds_what_rings_otherwise_than_it_seems() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let watched = Arc::new(Watched::new(store.store()));
            let shared: SharedServer = watched.clone();
            let planted = plant_silence(&shared, account.id).await;
            assert_eq!(faults(&shared, account.id).await, planted);
            let report = audit::audit(&*watched, Some(account.id), &hidden()).await.unwrap();
            let text = report.to_string();
            for told in [
                "circle-a: it is a member of itself, and a call never ends: take it out of circle-a or circle-b\n",
                "by single only the last of weight 1 rings: give each its own: d1, d2; affects callflow Main (c1) at 100\n",
                "group_pickup at 1/2/_ names the group g-gone, which is deleted: name another, or take it out",
                "no-type: endpoint d1 has no type and is taken for a group; its document is of type device\n",
                "odd: endpoint nobody is of type 7, at which a call crashes; there is no document of its id\n",
            ] {
                assert!(text.contains(told), "{told}\n{text}");
            }
            assert_eq!(report.mendable(), (7, 4));
            let before = watched.writes();
            let mended = audit::fix(&*watched, &report, World::real()).await;
            assert_eq!(watched.writes() - before, 4, "one write for each group");
            let told: Vec<String> = mended.iter().map(ToString::to_string).collect();
            assert!(told[1].contains("no-object: d1 is a device, d2 is a device, removed nobody, now 2-"), "{told:?}");
            let read = async |id: &str| shared.get(&account.database(), &id.parse().unwrap()).await.unwrap().unwrap();
            let endpoints = async |id: &str| read(id).await.get("endpoints").unwrap().get().to_owned();
            assert_eq!(endpoints("no-object").await, r#"{"d1":{"type":"device"},"d2":{"type":"device"}}"#);
            let kept = r#"{"d1":{"delay":1.50,"type":"device"},"d2":{"type":"device","weight":1},"m":{}}"#;
            assert_eq!(endpoints("no-type").await.replace("1.5,", "1.50,"), kept);
            assert_eq!(endpoints("odd").await, r#"{"d1":{"weight":3,"type":"device"},"nobody":{"type":7}}"#);
            // what needs a guess is told again, and nothing else
            let is_left = |fault: &Value| match fault["fault"].as_str().unwrap() {
                "not_an_object" => false,
                "no_type" => fault["is"] == "menu",
                "odd_type" => fault["is"].is_null(),
                _ => true,
            };
            let left: Vec<Value> = planted.into_iter().filter(is_left).collect();
            assert_eq!(faults(&shared, account.id).await, left);
            let again = audit::audit(&*watched, Some(account.id), &hidden()).await.unwrap();
            assert_eq!(again.mendable(), (0, 0));
        });
    }
}

/// The same faults in other forms.
async fn plant_other_forms(store: &SharedServer, id: AccountId) -> Vec<Value> {
    for device in ["d1", "d2", "d3"] {
        put(store, id, json!({"_id": device, "pvt_type": "device", "sip": {"username": device}})).await;
    }
    for device in ["off1", "off2"] {
        let off = json!({"_id": device, "pvt_type": "device", "enabled": false, "sip": {"username": device}});
        put(store, id, off).await;
    }
    let weighs = |weight: Value| json!({"type": "device", "weight": weight});
    for (group_id, endpoints) in [
        ("c1", json!({"c2": {"type": "group"}, "d1": {"type": "device"}})),
        ("c2", json!({"c3": {}, "d1": {"type": "device"}})),
        ("c3", json!({"c1": [], "d1": {"type": "device"}})),
        ("listed", json!({"listed": []})),
        (
            "types",
            json!({"d1": {"type": null}, "d2": {"type": "0"}, "d3": {"type": {}}, "nobody": {"type": null}, "no": {"type": "0", "weight": 1}}),
        ),
        (
            "weights",
            json!({"d1": weighs(json!("3")), "d2": weighs(json!(2.7)), "d3": weighs(json!(3)), "off1": weighs(json!("x"))}),
        ),
        ("capped", json!({"d1": weighs(json!(1000)), "d2": weighs(json!("100"))})),
        ("off", json!({"off1": {"type": "device"}, "off2": {"type": "device"}})),
    ] {
        put(store, id, group(group_id, endpoints)).await;
    }
    let member = |group: &str| json!({"id": group, "endpoint_type": "group"});
    let element = |module: &str, data: Value, next: Value| json!({"module": module, "data": data, "children": next});
    let listen = element("eavesdrop", json!({"approved_group_id": "off", "group_id": "g-lost"}), json!({}));
    let random = json!({"endpoints": [member("off"), member("gone")], "strategy": "weighted_random"});
    let of_group = element("group", random, json!({"_": listen}));
    let single = json!({"strategy": "single", "endpoints": [member("weights"), member("capped")]});
    let single = element("ring_group", single, json!({"9": of_group}));
    let page = element("page_group", json!({"endpoints": [member("c1"), member("off")]}), json!({"_": single}));
    put(store, id, json!({"_id": "flow", "pvt_type": "callflow", "numbers": ["7"], "flow": page})).await;
    let by = json!([{"id": "flow", "name": null, "numbers": ["7"]}]);
    let lost = |group: &str, module: &str, children: Value| {
        json!({"document": "flow", "fault": "names_no_group", "group": group, "module": module, "children": children,
               "target": "missing", "affected": by})
    };
    let circle = |group: &str, way: Value| json!({"document": group, "fault": "circle", "groups": way, "affected": by});
    let odd = |endpoint: &str, says: &str, is: Value| json!({"document": "types", "fault": "odd_type", "endpoint": endpoint, "says": says, "is": is});
    vec![
        json!({"document": "c2", "fault": "no_type", "endpoint": "c3", "is": "group", "affected": by}),
        circle("c1", json!(["c1", "c2", "c3"])),
        circle("c2", json!(["c2", "c3", "c1"])),
        json!({"document": "c3", "fault": "not_an_object", "endpoint": "c1", "is": "group", "affected": by}),
        circle("c3", json!(["c3", "c1", "c2"])),
        json!({"document": "capped", "fault": "equal_weight", "weight": 100, "endpoints": ["d1", "d2"], "affected": by}),
        lost("g-lost", "eavesdrop", json!(["_", "9", "_"])),
        lost("gone", "group", json!(["_", "9"])),
        json!({"document": "flow", "fault": "weighted_random", "children": ["_", "9"], "affected": by}),
        json!({"document": "listed", "fault": "not_an_object", "endpoint": "listed", "is": "group"}),
        json!({"document": "listed", "fault": "circle", "groups": ["listed"]}),
        json!({"document": "off", "fault": "rings_nobody", "members": 2, "affected": by}),
        odd("d1", "null", json!("device")),
        odd("d2", "\"0\"", json!("device")),
        odd("d3", "{}", json!("device")),
        odd("no", "\"0\"", Value::Null),
        odd("nobody", "null", Value::Null),
        json!({"document": "weights", "fault": "no_weight", "endpoints": ["off1"], "affected": by}),
        json!({"document": "weights", "fault": "equal_weight", "weight": 3, "endpoints": ["d1", "d2", "d3"], "affected": by}),
    ]
}

#[test]
fn audit_finds_faults_in_whichever_form() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let shared = store.store();
            let sorted = |mut faults: Vec<Value>| {
                let keys = ["document", "fault", "endpoint", "group", "weight"];
                faults.sort_by_key(|fault| keys.map(|key| fault[key].to_string()));
                faults
            };
            let planted = plant_other_forms(&shared, account.id).await;
            assert_eq!(sorted(faults(&shared, account.id).await), sorted(planted.clone()));
            let report = audit::audit(shared.as_ref(), Some(account.id), &hidden()).await.unwrap();
            let mended = audit::fix(shared.as_ref(), &report, World::real()).await;
            assert!(mended.iter().all(audit::Mended::is_well), "{mended:?}");
            let types = shared.get(&account.database(), &"types".parse().unwrap()).await.unwrap().unwrap();
            let typed = r#"{"d1":{"type":"device"},"d2":{"type":"device"},"d3":{"type":"device"}}"#;
            assert_eq!(types.get("endpoints").unwrap().get(), typed);
            let is_left =
                |fault: &Value| !["no_type", "not_an_object", "odd_type"].contains(&fault["fault"].as_str().unwrap());
            let left = planted.into_iter().filter(is_left).collect();
            assert_eq!(sorted(faults(&shared, account.id).await), sorted(left));
        });
    }
}

#[test]
fn audit_of_all_accounts_tells_whose_an_endpoint_is() {
    for store in stores() {
        let (account, other) = (store.account(), store.account());
        for account in [&account, &other] {
            store.credentials(account);
        }
        block_on(async {
            let shared = store.store();
            let device = format!("d-{}", other.id);
            put(&shared, other.id, json!({"_id": device, "pvt_type": "device", "sip": {"username": "d"}})).await;
            put(&shared, account.id, group("g", json!({device.as_str(): {"type": "device"}}))).await;
            let report = audit::audit(shared.as_ref(), None, &hidden()).await.unwrap();
            let fault = report.faults.iter().find(|fault| fault.database == account.database()).unwrap();
            let expected = json!({
                "database": account.database().as_str(), "document": "g", "fault": "dangling_endpoint",
                "endpoint": device, "names": "device", "target": "other_account", "account": other.id.as_str(),
            });
            assert_eq!(serde_json::to_value(fault).unwrap(), expected);
            assert!(fault.to_string().contains(&format!("is of the account {}, where Kazoo does not look", other.id)));
        });
    }
}
