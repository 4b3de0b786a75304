//! Whom groups ring: each case that was observed of Kazoo's own callflows (`fixtures/rings`), by the rules alone, through the
//! program and over HTTP; and that it does not matter how the documents are read.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::program::{refuses, run};
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, document, fixtures, put};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::javascript::is_listed;
use crossbar_groups::kazoo::rings::{Call, Element, Module, Reading, Rings, owners, rings};
use crossbar_groups::kazoo::time;

/// An account as the cases have one.
const ACCOUNT: &str = "9fea7de2184e17e0080e0e4aa1bf004d";

/// What was observed.
struct Case {
    name: String,
    module: &'static str,
    element: Value,
    call: Value,
    documents: BTreeMap<String, Arc<Document>>,
    expected: Value,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut files: Vec<_> =
        fs::read_dir(fixtures().join("rings/cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| Case::of(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap())).collect()
});

impl Case {
    fn of(case: &Value) -> Self {
        let all = ["users", "devices", "groups"].map(|kind| case["docs"][kind].as_object().unwrap());
        let documents = all.into_iter().flatten().map(|(id, found)| (id.clone(), Arc::new(document(found.clone()))));
        assert_eq!(case["account_do_not_disturb"], false);
        Self {
            name: case["name"].as_str().unwrap().to_owned(),
            module: module(&case["module"]),
            element: case["docs"]["callflow"].clone(),
            call: case["call"].clone(),
            documents: documents.collect(),
            expected: expected(case),
        }
    }

    /// One of `ours.json`.
    fn of_ours(case: &Value) -> Self {
        let documents = case["docs"].as_array().unwrap().iter();
        Self {
            name: format!("{}: {}", case["rule"].as_str().unwrap(), case["data"]),
            module: module(&case["module"]),
            element: case["data"].clone(),
            call: case["call"].clone(),
            documents: documents
                .map(|found| (found["_id"].as_str().unwrap().to_owned(), Arc::new(document(found.clone()))))
                .collect(),
            expected: json!({"rings": case["rings"], "failure": case["failure"]}),
        }
    }

    fn said(&self, key: &str) -> Option<&str> {
        self.call[key].as_str()
    }

    fn call(&self) -> Call {
        Call {
            device: self.said("authorizing_id").map(str::to_owned),
            user: self.said("owner_id").map(str::to_owned),
            is_of_queue: self.said("queue_id").is_some(),
            now: time::gregorian_seconds(std::time::SystemTime::now()),
        }
    }

    fn reading(&self) -> Reading {
        let module: Module = self.module.parse().unwrap();
        Reading::of(Element::read(document(self.element.clone()), Some(module)).unwrap(), ACCOUNT.parse().unwrap())
    }

    fn devices_of<'c>(&'c self, user: &'c str) -> impl Iterator<Item = Arc<Document>> + 'c {
        let devices = self.documents.values().filter(|device| is_listed(device, "device"));
        devices.filter(move |device| owners(device).iter().any(|owner| owner == user)).cloned()
    }

    /// Answers all that is wanted, until nothing is.
    fn rings(&self) -> Rings {
        let mut reading = self.reading();
        while !reading.wanted().is_empty() {
            let wanted = reading.wanted().clone();
            for id in &wanted.documents {
                reading.document(id, self.documents.get(id).cloned());
            }
            for user in &wanted.owned {
                reading.devices(user, self.devices_of(user));
            }
        }
        rings(&reading, &self.call()).unwrap()
    }
}

/// A module of Kazoo by what callflows call it.
fn module(named: &Value) -> &'static str {
    match named.as_str().unwrap() {
        "cf_ring_group" => "ring_group",
        "cf_page_group" => "page_group",
        "cf_group" => "group",
        other => panic!("{other}"),
    }
}

/// What a case says that rings, and what does not.
fn expected(case: &Value) -> Value {
    let picked = |from: &Value, keys: &[&str]| -> Vec<Value> {
        let pick = |item: &Value| keys.iter().map(|key| ((*key).to_owned(), item[key].clone())).collect();
        from.as_array().unwrap().iter().map(pick).collect()
    };
    let rings = match &case["result"] {
        Value::Null => Vec::new(),
        rings => picked(rings, &["id", "user", "delay", "timeout"]),
    };
    let failure = match (case["failure"]["failure"].as_str(), rings.is_empty()) {
        (Some("crash"), true) => json!("crash"),
        (Some("timeout" | "died"), true) => json!("endless"),
        (None, true) => json!("nobody"),
        (None, false) => Value::Null,
        other => panic!("{other:?}"),
    };
    json!({"rings": rings, "dropped": picked(&case["dropped"], &["id", "why"]), "failure": failure})
}

/// How many of the cases are as they were observed; the others are told.
fn compare(found: impl Iterator<Item = (&'static Case, Value)>) -> usize {
    let (mut same, mut different) = (0, Vec::new());
    for (case, found) in found {
        match found == case.expected {
            true => same += 1,
            false => different.push(format!("{}:\n  {found}\n  observed {}", case.name, case.expected)),
        }
    }
    assert!(different.is_empty(), "{} of {}\n{}", different.len(), same + different.len(), different.join("\n"));
    same
}

#[test]
fn whom_a_group_rings_is_what_was_observed_of_kazoo() {
    let found = CASES.iter().map(|case| (case, serde_json::to_value(case.rings()).unwrap()));
    assert_eq!(compare(found), 199);
}

#[test]
fn whom_a_group_rings_is_what_kazoo_s_code_says_where_nothing_was_observed() {
    let file = fs::read_to_string(fixtures().join("rings/ours.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&file).unwrap();
    let mut different = Vec::new();
    for case in cases.iter().map(Case::of_ours) {
        let rings = case.rings();
        let found = json!({"rings": rings.rings, "failure": rings.failure});
        if found != case.expected {
            different.push(format!("{}:\n  {found}\n  Kazoo {}", case.name, case.expected));
        }
    }
    assert!(different.is_empty(), "{} of {}\n{}", different.len(), cases.len(), different.join("\n"));
}

proptest! {
    #[test]
    fn in_which_order_the_documents_are_read_makes_no_difference(
        at in 0..199_usize,
        choices in prop::collection::vec(any::<prop::sample::Index>(), 1..64),
        early in any::<bool>(),
    ) {
        let case = &CASES[at];
        let mut reading = case.reading();
        if early {
            // what nobody asked for yet
            for (id, document) in &case.documents {
                reading.document(id, Some(Arc::clone(document)));
            }
        }
        let mut choices = choices.iter().cycle();
        while !reading.wanted().is_empty() {
            let (documents, owned) = (reading.wanted().documents.clone(), reading.wanted().owned.clone());
            let choice = choices.next().unwrap().index(documents.len() + owned.len());
            match documents.iter().nth(choice) {
                Some(id) => reading.document(id, case.documents.get(id).cloned()),
                None => {
                    let user = owned.iter().nth(choice - documents.len()).unwrap();
                    let mut devices: Vec<_> = case.devices_of(user).collect();
                    devices.reverse();
                    reading.devices(user, devices);
                }
            }
        }
        prop_assert_eq!(rings(&reading, &case.call()).unwrap(), case.rings());
    }
}

/// A store of each kind with an account that has the documents of all cases, whose ids differ.
fn stores() -> impl Iterator<Item = (TestStore, TestAccount)> {
    Kind::all().into_iter().map(|kind| {
        let test = TestStore::new(kind);
        let account = test.account();
        let documents = CASES.iter().flat_map(|case| case.documents.values().map(|one| one.as_ref().clone()));
        block_on(test.store().load(&account.database(), documents.collect())).unwrap();
        (test, account)
    })
}

/// Adds Kazoo's view by which devices are found.
fn add_owned(test: &TestStore, account: &TestAccount) {
    let map = "function(doc) { if (doc.pvt_deleted || !doc.pvt_type) return; \
        var users = doc.hotdesk && doc.hotdesk.users ? Object.keys(doc.hotdesk.users) : []; \
        if (users.length == 0 && doc.owner_id) users = [doc.owner_id]; \
        users.forEach(function(user) { emit([user, doc.pvt_type], doc._id); }); }";
    let design = json!({"_id": "_design/attributes", "language": "javascript", "views": {"owned": {"map": map}}});
    block_on(test.store().put_design(&account.database(), &document(design))).unwrap();
}

/// What the program says of a case.
fn told(store: &str, account: AccountId, folder: &std::path::Path, case: &Case) -> Value {
    let file = folder.join(format!("{}.json", case.name));
    fs::write(&file, case.element.to_string()).unwrap();
    let (account, file) = (account.to_string(), file.to_str().unwrap().to_owned());
    let mut arguments = vec!["groups", "rings", "--store", store, "--account", &account, "--json"];
    arguments.extend(["--element", &file, "--module", case.module]);
    arguments.extend(case.said("authorizing_id").into_iter().flat_map(|id| ["--caller-device", id]));
    arguments.extend(case.said("owner_id").into_iter().flat_map(|id| ["--caller-user", id]));
    arguments.extend(case.said("queue_id").map(|_| "--queue"));
    let output = run(&arguments);
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_program_tells_what_was_observed_on_every_store() {
    let folder = tempfile::tempdir().unwrap();
    for (test, account) in stores() {
        if let Kind::Couch(url) = test.kind.clone() {
            // Kazoo's view is not there: all documents are looked at
            let some = CASES.iter().step_by(9);
            compare(some.map(|case| (case, told(&url, account.id, folder.path(), case))));
            add_owned(&test, &account);
            assert_eq!(compare(CASES.iter().map(|case| (case, told(&url, account.id, folder.path(), case)))), 199);
        } else {
            let closed = test.close();
            let store = closed.path().to_str().unwrap();
            assert_eq!(compare(CASES.iter().map(|case| (case, told(store, account.id, folder.path(), case)))), 199);
        }
    }
}

/// The path that tells of a case whose element rings one group and says nothing else of it.
fn path_of(case: &Case) -> Option<String> {
    let strategy = case.element.get("strategy").map_or(Some("simultaneous"), Value::as_str);
    let strategy = strategy.filter(|strategy| ["simultaneous", "single", "weighted_random"].contains(strategy))?;
    let id = match case.module {
        "group" => case.element["id"].as_str()?,
        _ => match case.element["endpoints"].as_array()?.as_slice() {
            [member] if member.as_object()?.len() == 2 && member["endpoint_type"] == "group" => {
                member["id"].as_str()?
            }
            _ => return None,
        },
    };
    let is_there = case.documents.get(id)?;
    let is_plain = case.call == json!({}) && !is_there.is_true("pvt_deleted");
    is_plain.then(|| format!("groups/{id}/rings?strategy={strategy}&module={}", case.module))
}

#[test]
fn over_http_it_is_told_with_names() {
    for (test, account) in stores() {
        let app = TestApp::unlimited(test.store());
        let plain = CASES.iter().filter_map(|case| Some((case, path_of(case)?)));
        let found = plain.map(|(case, path)| {
            let answer = app.get(&account.path(&path), &account.token);
            assert_eq!(answer.status, 200, "{}: {}", case.name, answer.text());
            let mut data = answer.json()["data"].clone();
            for key in ["rings", "dropped"] {
                for item in data[key].as_array_mut().unwrap() {
                    let named = |id: &Value| case.documents.get(id.as_str().unwrap_or_default()).map(|of| name(of));
                    assert_eq!(item["name"], json!(named(&item["id"])), "{}", case.name);
                    let item = item.as_object_mut().unwrap();
                    item.remove("name");
                    if let Some(user) = item.remove("user_name") {
                        assert_eq!(user, json!(named(&item["user"])), "{}", case.name);
                    }
                }
            }
            (case, data)
        });
        assert!(compare(found) >= 50);
    }
}

/// What people call a document of a case.
fn name(document: &Document) -> String {
    let text = |key: &str| document.text(key).unwrap();
    document.text("name").unwrap_or_else(|| format!("{} {}", text("first_name"), text("last_name")))
}

#[test]
fn who_may_read_the_group_may_ask_whom_it_rings() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let (account, other) = (test.account(), test.account());
        let app = TestApp::unlimited(test.store());
        let id = app.create(&account, json!({"name": "x", "endpoints": {}}));
        let path = account.path(&format!("groups/{id}/rings"));
        let answer = app.get(&path, &account.token);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["data"], json!({"rings": [], "dropped": [], "failure": "nobody"}));
        assert_eq!(answer.json()["status"], "success");
        assert_eq!(app.get(&path, &other.token).status, 403);
        assert_eq!(app.get(&path, "").status, 401);
        assert_eq!(app.send("PUT", &path, &account.token, Some(json!({"data": {}}))).status, 405);
        assert_eq!(app.get(&account.path("groups/nobody/rings"), &account.token).status, 404);
        assert_eq!(app.get(&account.path(&format!("groups/{}/rings", account.user)), &account.token).status, 404);
        for bad in ["strategy=loud", "module=menu"] {
            let answer = app.get(&format!("{path}?{bad}"), &account.token);
            let (key, value) = bad.split_once('=').unwrap();
            assert_eq!(answer.status, 400, "{bad}");
            assert_eq!(answer.json()["data"][key]["enum"]["value"], value);
        }
        assert_eq!(app.send("DELETE", &account.path(&format!("groups/{id}")), &account.token, None).status, 200);
        assert_eq!(app.get(&path, &account.token).status, 404);
    }
}

/// Groups of 2,000 members in all, on 3 levels: a group of 20 groups of 5 groups of 20 members, half of them users.
fn deep() -> Vec<Document> {
    let mut documents = Vec::new();
    let group = |id: &str, members: Vec<(String, &str)>| {
        let of = |(at, (id, kind)): (usize, (String, &str))| (id, json!({"type": kind, "weight": at + 1}));
        let endpoints: serde_json::Map<String, Value> = members.into_iter().enumerate().map(of).collect();
        document(json!({"_id": id, "pvt_type": "group", "name": id, "endpoints": endpoints}))
    };
    let device = |id: &str, owner: &str| {
        let sip = json!({"username": id, "password": "x"});
        document(json!({"_id": id, "pvt_type": "device", "name": id, "owner_id": owner, "enabled": true, "sip": sip}))
    };
    documents.push(group("top", (0..20).map(|at| (format!("g{at}"), "group")).collect()));
    for outer in 0..20 {
        documents.push(group(&format!("g{outer}"), (0..5).map(|at| (format!("g{outer}-{at}"), "group")).collect()));
        for inner in 0..5 {
            let id = format!("g{outer}-{inner}");
            let member = |at: usize| match at % 2 {
                0 => (format!("{id}-d{at}"), "device"),
                _ => (format!("{id}-u{at}"), "user"),
            };
            documents.push(group(&id, (0..20).map(member).collect()));
            for at in 0..20 {
                let owner = format!("{id}-u{at}");
                if at % 2 == 0 {
                    documents.push(device(&format!("{id}-d{at}"), &owner));
                } else {
                    documents.push(device(&format!("{id}-d{at}"), &owner));
                    documents.push(document(json!({"_id": owner, "pvt_type": "user", "username": owner})));
                }
            }
        }
    }
    documents
}

#[test]
fn many_members_are_read_in_few_requests() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        block_on(test.store().load(&account.database(), deep())).unwrap();
        if matches!(test.kind, Kind::Couch(_)) {
            add_owned(&test, &account);
        }
        let app = TestApp::unlimited(test.store());
        let path = account.path("groups/top/rings?strategy=single");
        // CouchDB makes the view's rows
        assert_eq!(app.get(&path, &account.token).status, 200);
        let calls = |app: &TestApp| -> f64 {
            let is_call = |name: &str| {
                let is = |call: &str| name.starts_with(&format!("crossbar_store_calls_total{{call=\"{call}\""));
                is("get_many") || is("find")
            };
            app.metrics().into_iter().filter(|(name, _)| is_call(name)).map(|(_, value)| value).sum()
        };
        let before = calls(&app);
        let answer = app.get(&path, &account.token);
        let made = calls(&app) - before;
        let data = &answer.json()["data"];
        assert_eq!(data["rings"].as_array().unwrap().len(), 2_000);
        assert_eq!((&data["dropped"], &data["failure"]), (&json!([]), &Value::Null));
        // the group with the account, two levels of groups, devices, the devices of users, their owners
        assert!((5.0..=9.0).contains(&made), "{made} calls");
    }
}

#[test]
fn groups_without_end_or_measure_are_refused() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let link = |at: usize| {
        let endpoints = json!({format!("l{}", at + 1): {"type": "group"}});
        document(json!({"_id": format!("l{at}"), "pvt_type": "group", "endpoints": endpoints}))
    };
    block_on(test.store().load(&account.database(), (0..100).map(link).collect())).unwrap();
    // each level names each group of the next with another delay, in twice as many ways
    let wide = |at: usize| {
        let members = 0..100;
        let endpoints: serde_json::Map<String, Value> = match at {
            0 => members.map(|to| (format!("w1-{to}"), json!({"type": "group", "delay": to + 1}))).collect(),
            _ => members.map(|to| (format!("end-{to}"), json!({"type": "group", "timeout": to + 1}))).collect(),
        };
        endpoints
    };
    let group = |id: String, endpoints| document(json!({"_id": id, "pvt_type": "group", "endpoints": endpoints}));
    let devices: serde_json::Map<String, Value> =
        (0..100).map(|to| (format!("d{to}"), json!({"type": "device"}))).collect();
    let mut groups = vec![group("wide".to_owned(), wide(0))];
    groups.extend((0..100).map(|at| group(format!("w1-{at}"), wide(1))));
    groups.extend((0..100).map(|at| group(format!("end-{at}"), devices.clone())));
    block_on(test.store().load(&account.database(), groups)).unwrap();
    let app = TestApp::unlimited(test.store());
    for id in ["l0", "wide"] {
        let answer = app.get(&account.path(&format!("groups/{id}/rings")), &account.token);
        assert_eq!((answer.status, answer.json()["message"].as_str()), (400, Some("too_large")), "{id}");
    }
    let near = app.get(&account.path("groups/l50/rings"), &account.token);
    assert_eq!((near.status, &near.json()["data"]["failure"]), (200, &json!("nobody")));
}

#[test]
fn people_are_told_by_name() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (store, database) = (test.store(), account.database());
    put(&store, &database, json!({"_id": "u", "pvt_type": "user", "first_name": "Ada", "last_name": "L"}));
    put(&store, &database, json!({"_id": "d", "pvt_type": "device", "name": "Desk", "owner_id": "u", "sip": {"a": 1}}));
    let endpoints = json!({"u": {"type": "user", "delay": 3}, "gone": {"type": "device"}});
    put(&store, &database, json!({"_id": "g", "pvt_type": "group", "endpoints": endpoints}));
    drop(store);
    let id = account.id.to_string();
    let closed = test.close();
    let store = closed.path().to_str().unwrap();
    let arguments = ["groups", "rings", "--store", store, "--account", &id];
    let output = run(&[&arguments[..], &["g"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "rings Desk (d) of Ada L (u), after 3 s, for 20 s\nleft out gone: not_found\n");
    let whole = closed.path().join("element.json");
    fs::write(&whole, json!({"module": "page_group", "data": {"endpoints": [{"id": "d"}]}}).to_string()).unwrap();
    let whole = whole.to_str().unwrap();
    let output = run(&[&arguments[..], &["--element", whole]].concat());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "rings Desk (d) of Ada L (u)\n");
    refuses(&arguments, "--element");
    refuses(&[&arguments[..], &["g", "--element", whole]].concat(), "cannot be used with");
    refuses(&[&arguments[..], &["g", "--strategy", "loud"]].concat(), "not a strategy");
    refuses(&[&arguments[..], &["--element", "/nowhere"]].concat(), "/nowhere");
    fs::write(closed.path().join("element.json"), r#"{"module": "menu", "data": {}}"#).unwrap();
    refuses(&[&arguments[..], &["--element", whole]].concat(), "not a module");
}
