//! What names a group: told over HTTP and by the program, and in the way of who deletes only what nothing names; and whom
//! each callflow rings that names it.

use serde_json::{Value, json};

use crate::common::program::run;
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, document};

/// Kazoo's view by which documents of a type are found.
fn add_by_type(test: &TestStore, account: &TestAccount) {
    let map = "function(doc) { if (!doc.pvt_deleted) emit(doc.pvt_type, {'name': doc.name}); }";
    let views = json!({"listing_by_type": {"map": map}});
    let design = json!({"_id": "_design/maintenance", "language": "javascript", "views": views});
    block_on(test.store().put_design(&account.database(), &document(design))).unwrap();
}

/// An account with a group `g`, what names it, and what does not.
fn account(test: &TestStore) -> TestAccount {
    let account = test.account();
    let member = |id: &str, kind: &str| json!({"id": id, "endpoint_type": kind});
    let ring = json!({"module": "ring_group", "data": {"strategy": "single", "endpoints": [
        member("d1", "device"), member("g", "group"),
    ]}, "children": {}});
    let pickup = json!({"module": "group_pickup", "data": {"group_id": "g"}, "children": {"_": ring}});
    let menu = json!({"module": "menu", "data": {"id": "m"}, "children": {"1": pickup, "2": {
        "module": "page_group", "data": {"endpoints": [member("g", "group")]}, "children": {},
    }}});
    let other = json!({"module": "ring_group", "data": {"endpoints": [member("d1", "device")]}, "children": {}});
    let callflow = |id: &str, rest: Value| {
        let mut callflow = json!({"_id": id, "pvt_type": "callflow", "numbers": ["100", "+15551234"], "patterns": []});
        callflow.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        callflow
    };
    let device = |id: &str, rest: Value| json!({"_id": id, "pvt_type": "device", "name": id.to_uppercase(), "sip": {"username": id}, "x": rest});
    let documents = [
        json!({"_id": "g", "pvt_type": "group", "name": "Sales", "endpoints": {
            "d2": {"type": "device", "weight": 2}, "d3": {"type": "device", "weight": 1}, "g": {"type": "group"},
        }}),
        json!({"_id": "h", "pvt_type": "group", "name": "All", "endpoints": {"g": {"type": "group"}}}),
        json!({"_id": "quiet", "pvt_type": "group", "name": "Quiet", "endpoints": {}}),
        callflow("c1", json!({"name": "Main", "flow": menu})),
        callflow("c2", json!({"group_id": "g", "flow": other.clone()})),
        callflow("c3", json!({"flow": other})),
        callflow("c4", json!({"pvt_deleted": true, "group_id": "g"})),
        json!({"_id": "u", "pvt_type": "user", "first_name": "Ada", "pickup": {"group": "g"}}),
        device("d1", json!(null)),
        device("d2", json!(null)),
        device("d3", json!(["g"])),
        json!({"_id": "m", "pvt_type": "menu", "x": "g"}),
    ];
    let documents = documents.into_iter().map(document).collect();
    block_on(test.store().load(&account.database(), documents)).unwrap();
    account
}

/// The parts of what names `g`.
fn expected() -> Value {
    let element = |module: &str, children: Value, pointer: &str| json!({"module": module, "children": children, "pointer": pointer});
    let numbers = json!(["100", "+15551234"]);
    json!({
        "callflows": [
            {"id": "c1", "name": "Main", "numbers": numbers, "patterns": [], "places": [
                element("group_pickup", json!(["1"]), "/flow/children/1/data/group_id"),
                element("ring_group", json!(["1", "_"]), "/flow/children/1/children/_/data/endpoints/1/id"),
                element("page_group", json!(["2"]), "/flow/children/2/data/endpoints/0/id"),
            ]},
            {"id": "c2", "name": null, "numbers": numbers, "patterns": [], "places": [{"pointer": "/group_id"}]},
        ],
        "groups": [{"id": "h", "name": "All", "places": [{"pointer": "/endpoints/g"}]}],
        "users": [{"id": "u", "name": "Ada", "places": [{"pointer": "/pickup/group"}]}],
        "devices": [{"id": "d3", "name": "D3", "places": [{"pointer": "/x/0"}]}],
    })
}

/// The same, its keys as they may be: places in the order in which a document's keys stand.
fn sorted(mut used: Value) -> Value {
    for callflow in used["callflows"].as_array_mut().unwrap() {
        callflow["places"].as_array_mut().unwrap().sort_by_key(|place| place["pointer"].to_string());
    }
    used
}

#[test]
fn what_names_a_group_is_told_on_every_store() {
    for kind in Kind::all() {
        for has_view in [true, false] {
            let test = TestStore::new(kind.clone());
            let (account, other) = (account(&test), test.account());
            if matches!(test.kind, Kind::Couch(_)) && has_view {
                add_by_type(&test, &account);
            }
            let app = TestApp::unlimited(test.store());
            let path = account.path("groups/g/used_by");
            let answer = app.get(&path, &account.token);
            assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("success")), "{}", answer.text());
            assert_eq!(sorted(answer.json()["data"].clone()), sorted(expected()), "{has_view}");
            let none = app.get(&account.path("groups/quiet/used_by"), &account.token).json()["data"].clone();
            assert_eq!(none, json!({"callflows": [], "groups": [], "users": [], "devices": []}));
            assert_eq!(app.get(&path, &other.token).status, 403);
            assert_eq!(app.get(&path, "").status, 401);
            assert_eq!(app.send("PUT", &path, &account.token, Some(json!({"data": {}}))).status, 405);
            assert_eq!(app.get(&account.path("groups/nobody/used_by"), &account.token).status, 404);
            assert_eq!(app.get(&account.path("groups/u/used_by"), &account.token).status, 404);
        }
    }
}

#[test]
fn who_asks_for_it_deletes_only_what_nothing_names() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = account(&test);
        let app = TestApp::unlimited(test.store());
        let path = account.path("groups/g?unless_used=true");
        let before = app.get(&account.path("groups/g"), &account.token).text();
        let answer = app.send("DELETE", &path, &account.token, None);
        let refused = answer.json();
        assert_eq!((answer.status, refused["message"].as_str()), (409, Some("in_use")));
        assert_eq!((&refused["status"], &refused["error"]), (&json!("error"), &json!("409")));
        assert_eq!(sorted(refused["data"].clone()), sorted(expected()));
        let revision = |text: &str| serde_json::from_str::<Value>(text).unwrap()["revision"].clone();
        assert_eq!(revision(&app.get(&account.path("groups/g"), &account.token).text()), revision(&before));
        let delete = |rest: &str| app.send("DELETE", &account.path(rest), &account.token, None).status;
        assert_eq!(delete("groups/quiet?unless_used=true"), 200);
        assert_eq!(delete("groups/g?unless_used=false"), 200, "as Kazoo does");
        assert_eq!(delete("groups/h"), 200);
    }
}

#[test]
fn each_callflow_that_names_a_group_tells_whom_it_rings() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = account(&test);
        // a circle would ring nobody
        let group =
            json!({"endpoints": {"d2": {"type": "device", "weight": 2}, "d3": {"type": "device", "weight": 1}}});
        let group = json!({"data": {"name": "Sales", "endpoints": group["endpoints"]}});
        let app = TestApp::unlimited(test.store());
        assert_eq!(app.send("POST", &account.path("groups/g"), &account.token, Some(group)).status, 200);
        let told = |query: &str| {
            let answer = app.get(&account.path(&format!("groups/g/rings?{query}")), &account.token);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()["data"].clone()
        };
        assert_eq!(told("")["callflows"], Value::Null);
        let data = told("callflows=true&strategy=single");
        let ids = |told: &Value| -> Vec<String> {
            let rings = told["rings"].as_array().unwrap().iter();
            rings.map(|ring| ring["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&data), ["d3", "d2"]);
        let mut callflows = data["callflows"].as_array().unwrap().clone();
        callflows.sort_by_key(|of| of["module"].to_string());
        let told: Vec<_> = callflows
            .iter()
            .map(|of| {
                assert_eq!((&of["id"], &of["name"], &of["numbers"][0]), (&json!("c1"), &json!("Main"), &json!("100")));
                let rings = of["rings"].is_object().then(|| ids(&of["rings"]));
                (of["module"].as_str().unwrap(), of["children"].clone(), rings)
            })
            .collect();
        let rung = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(
            told,
            [
                ("group_pickup", json!(["1"]), None),
                ("page_group", json!(["2"]), rung(&["d2", "d3"])),
                ("ring_group", json!(["1", "_"]), rung(&["d1", "d3", "d2"])),
            ]
        );
    }
}

#[test]
fn many_callflows_are_read_in_as_few_requests_as_one() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let mut documents =
            vec![json!({"_id": "g", "pvt_type": "group", "name": "g", "endpoints": {"d": {"type": "device"}}})];
        documents.extend((0..100).map(|at| {
            let endpoints =
                json!([{"id": "g", "endpoint_type": "group"}, {"id": format!("d{at}"), "endpoint_type": "device"}]);
            let flow = json!({"module": "ring_group", "data": {"endpoints": endpoints}, "children": {}});
            json!({"_id": format!("c{at:03}"), "pvt_type": "callflow", "numbers": [at.to_string()], "flow": flow})
        }));
        let load = |documents: Vec<Value>| {
            block_on(test.store().load(&account.database(), documents.into_iter().map(document).collect())).unwrap();
        };
        load(documents);
        if matches!(test.kind, Kind::Couch(_)) {
            add_by_type(&test, &account);
        }
        let app = TestApp::unlimited(test.store());
        let path = account.path("groups/g/rings?callflows=true");
        assert_eq!(app.get(&path, &account.token).status, 200);
        let calls = || -> f64 {
            let metrics = app.metrics().into_iter();
            metrics.filter(|(name, _)| name.starts_with("crossbar_store_calls_total{")).map(|(_, calls)| calls).sum()
        };
        let before = calls();
        let answer = app.get(&path, &account.token);
        assert_eq!(answer.json()["data"]["callflows"].as_array().unwrap().len(), 100);
        // the group, the callflows, the group again with the account and the devices, those of the group
        assert!(calls() - before <= 9.0, "{}", calls() - before);
        load(vec![json!({"_id": "more", "pvt_type": "callflow", "flow": {"module": "x", "data": {"id": "g"}}})]);
        let answer = app.get(&path, &account.token);
        assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some("too_large")));
    }
}

#[test]
fn the_program_tells_it_too() {
    let test = TestStore::new(Kind::Embedded);
    let account = account(&test);
    let id = account.id.to_string();
    let closed = test.close();
    let store = closed.path().to_str().unwrap();
    let told = |arguments: &[&str]| {
        let output = run(&[&["groups"], arguments, &["--store", store, "--account", &id]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json = serde_json::from_str(&told(&["used-by", "g", "--json"])).unwrap();
    assert_eq!(sorted(json), sorted(expected()));
    let text = told(&["used-by", "g"]);
    assert!(
        text.contains("callflow Main (c1) at 100, +15551234: group_pickup /flow/children/1/data/group_id\n"),
        "{text}"
    );
    assert!(text.contains("group All (h): /endpoints/g\n"), "{text}");
    assert_eq!(told(&["used-by", "quiet"]), "nothing names it\n");
    let text = told(&["rings", "quiet", "--callflows"]);
    assert_eq!(text, "nobody rings\n");
    let text = told(&["rings", "g", "--callflows"]);
    assert!(
        text.contains("\ncallflow Main (c1) at 100, +15551234, page_group at 2\nKazoo's callflow never ends"),
        "{text}"
    );
    assert!(text.contains("group_pickup at 1\nrings nobody by itself\n"), "{text}");
    let told: Value = serde_json::from_str(&told(&["rings", "g", "--callflows", "--json"])).unwrap();
    assert_eq!(told["callflows"].as_array().unwrap().len(), 3);
}
