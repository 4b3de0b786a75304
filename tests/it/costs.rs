//! What one request may cost, whatever is in it and whatever it asks of: bounds that have flags, memory that is measured of
//! the program as a process, and time.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::program::Served;
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, document};

const MB: usize = 1_000_000;

/// Starts the service on every kind of store with more arguments.
fn on_every_store(arguments: &[&str], check: impl Fn(&TestStore, &TestAccount, &TestApp)) {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::start(test.store(), &[&["--rate-limit", "off"], arguments].concat());
        check(&test, &account, &app);
    }
}

/// Writes documents as Kazoo would, or an import.
fn load(test: &TestStore, account: &TestAccount, documents: impl IntoIterator<Item = Value>) {
    let documents = documents.into_iter().map(document).collect();
    block_on(test.store().load(&account.database(), documents)).unwrap();
}

/// A group of so many users.
fn group(id: &str, users: usize, flag: &str) -> Value {
    let user = |number: usize| (format!("{number:032x}"), json!({"type": "user"}));
    let endpoints: serde_json::Map<String, Value> = (0..users).map(user).collect();
    json!({"_id": id, "pvt_type": "group", "name": "x", "endpoints": endpoints, "flags": [flag]})
}

/// What a client may send of a group.
fn public(mut group: Value) -> Option<Value> {
    let fields = group.as_object_mut().unwrap();
    fields.remove("_id");
    fields.remove("pvt_type");
    Some(json!({ "data": group }))
}

fn get(served: &Served, account: &TestAccount, path: &str) -> Response {
    let headers = [("X-Auth-Token", account.token.as_str())];
    client::send(served.address, "GET", &account.path(path), &headers, None).unwrap()
}

/// Asks the same at once so many times; the answers' statuses. The program's memory grows by no more than `most` bytes, and
/// goes back to where it was but for `left`.
fn costs(served: &Served, account: &TestAccount, path: &str, times: usize, (most, left): (usize, usize)) -> Vec<u16> {
    assert_eq!(get(served, account, "groups?page_size=1").status, 200);
    let before = served.held();
    let statuses = thread::scope(|scope| {
        let asked: Vec<_> = (0..times).map(|_| scope.spawn(|| get(served, account, path).status)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    if let (Some(before), Some(peak)) = (before, served.peak()) {
        let grown = peak.saturating_sub(before) as usize / MB;
        assert!(grown <= most / MB, "{path}: {grown} MB more");
        let began = Instant::now();
        loop {
            get(served, account, "groups?page_size=1");
            let kept = served.held().unwrap().saturating_sub(before) as usize / MB;
            if kept <= left / MB {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{path}: {kept} MB are kept");
            thread::sleep(Duration::from_millis(100));
        }
    }
    statuses
}

#[test]
fn a_field_is_walked_once_however_many_conditions_look_at_it() {
    on_every_store(&[], |test, account, app| {
        let big = json!({"_id": "a", "pvt_type": "group", "big": {"deep": vec![1; 250_000], "x": 1}});
        load(test, account, [big]);
        let query = |condition: fn(usize) -> String| (0..100).map(condition).collect::<Vec<_>>().join("&");
        for (query, rows) in [
            (query(|_| "has_key=big".to_owned()), 1),
            (query(|_| "has_key=big.x".to_owned()), 1),
            (query(|number| format!("has_key=big.deep.{}", 2_000 * number + 1)), 1),
            (query(|number| format!("key_missing=big.x{number}")), 1),
            (query(|number| format!("filter_not_big.deep={number}")), 1),
            (query(|number| format!("filter_big={}", "x".repeat(number))), 0),
            (query(|number| format!("has_value=big.{}&value_missing=y", if number == 7 { "y" } else { "x" })), 0),
        ] {
            let began = Instant::now();
            let answer = app.get(&account.path(&format!("groups?{query}")), &account.token).json();
            assert_eq!(answer["page_size"], rows, "{query}: {answer}");
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}: {query}", began.elapsed());
        }
    });
}

#[test]
fn a_filter_has_so_many_conditions_and_no_more() {
    on_every_store(&["--max-conditions", "3"], |_, account, app| {
        let ask = |query: &str| app.get(&account.path(&format!("groups?{query}")), &account.token);
        for query in ["has_key=a&has_key=b&filter_c=d&page_size=7", &"has_key=a&".repeat(50)] {
            assert_eq!(ask(query).status, 200, "{query}");
        }
        let answer = ask("has_key=a&has_key=b&filter_c=d&created_from=1");
        assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("too_large")));
        assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"conditions\"}"], 1.0);
    });
}

#[test]
fn a_row_is_stored_once_however_many_users_it_is_listed_for() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::unlimited(test.store());
    let flag = "x".repeat(100_000);
    let before = test.bytes();
    let answer = app.send("PUT", &account.path("groups"), &account.token, public(group("", 150, &flag)));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let grown = test.bytes() - before;
    assert!(grown < 4 * MB as u64, "the store has grown by {grown} bytes");
    let path = |user: usize| account.path(&format!("users/{user:032x}/groups"));
    load(&test, &account, [0, 149].map(|user| json!({"_id": format!("{user:032x}"), "pvt_type": "user"})));
    for user in [0, 149] {
        let row = &app.get(&path(user), &account.token).json()["data"][0];
        assert_eq!((&row["flags"][0], &row["endpoints"]), (&json!(flag), &json!(150)));
    }
    // and what it was is gone, when it is changed
    let id = answer.json()["data"]["id"].as_str().unwrap().to_owned();
    let changes = Some(json!({"data": {"flags": ["y"], "endpoints": {format!("{:032x}", 149): null}}}));
    assert_eq!(app.send("PATCH", &account.path(&format!("groups/{id}")), &account.token, changes).status, 200);
    assert_eq!(app.get(&path(0), &account.token).json()["data"][0]["flags"], json!(["y"]));
    assert_eq!(app.get(&path(149), &account.token).json()["data"], json!([]));
}

#[test]
fn a_group_is_no_larger_than_it_may_be() {
    on_every_store(&["--max-endpoints", "20", "--max-rows", "20000"], |test, account, app| {
        let send = |method: &str, path: &str, body| app.send(method, &account.path(path), &account.token, body);
        let refused = |answer: Response, rule: &str| {
            assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("validation error")));
            assert!(answer.json()["data"]["endpoints"][rule]["target"].is_u64(), "{}", answer.text());
        };
        let large = "x".repeat(1_500);
        assert_eq!(send("PUT", "groups", public(group("", 20, "x"))).status, 201);
        refused(send("PUT", "groups", public(group("", 21, "x"))), "maxProperties");
        refused(send("PUT", "groups", public(group("", 20, &large))), "maxRows");
        let id = app.create(account, json!({"name": "x", "endpoints": {}, "flags": [large]}));
        let path = format!("groups/{id}");
        let endpoints = |users| Some(json!({"data": {"endpoints": group("", users, "")["endpoints"]}}));
        assert_eq!(send("PATCH", &path, endpoints(10)).status, 200);
        refused(send("PATCH", &path, endpoints(20)), "maxRows");
        refused(send("PATCH", &path, endpoints(21)), "maxProperties");
        refused(send("POST", &path, public(group("", 20, &large))), "maxRows");
        assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"rows\"}"], 3.0);
        assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"endpoints\"}"], 2.0);

        // one that Kazoo has written is served, and can be deleted
        load(test, account, [group("theirs", 50, &large)]);
        load(test, account, [json!({"_id": format!("{:032x}", 49), "pvt_type": "user"})]);
        assert_eq!(send("GET", "groups/theirs", None).status, 200);
        let list = send("GET", &format!("users/{:032x}/groups", 49), None).json();
        assert_eq!(list["data"][0]["id"], "theirs");
        assert_eq!(send("DELETE", "groups/theirs", None).status, 200);
    });
}

#[test]
fn data_hold_so_many_values_and_so_much_is_told_of_them() {
    on_every_store(&["--max-values", "100", "--max-findings", "3"], |_, account, app| {
        let put = |data: Value| {
            let answer = app.send("PUT", &account.path("groups"), &account.token, Some(json!({ "data": data })));
            (answer.status, answer.json()["data"].clone())
        };
        let wrong = put(json!({"name": "x", "flags": [1, 2, 3, 4, 5]}));
        assert_eq!((wrong.0, wrong.1.as_object().unwrap().len()), (400, 4));
        assert_eq!(wrong.1["data"]["more"]["message"], "and 2 more");
        assert_eq!(put(json!({"name": "x", "flags": vec!["x"; 101]})).1["data"]["maxValues"]["target"], 100);
        let fields: serde_json::Map<String, Value> = (0..101).map(|number| (number.to_string(), json!(1))).collect();
        assert_eq!(put(Value::Object(fields)).1["data"]["maxValues"]["target"], 100);
        // what no rule looks at may be as large as a body
        assert_eq!(put(json!({"name": "x", "other": vec!["x"; 1_000]})).0, 201);
    });
}

#[test]
fn a_table_has_so_many_columns_and_bytes() {
    on_every_store(&["--max-columns", "50", "--max-answer", "20000"], |test, account, app| {
        let columns = |number: usize| (0..number).map(|n| (format!("k{n}"), json!(1))).collect::<Value>();
        let csv = |path: &str| {
            let separator = if path.contains('?') { '&' } else { '?' };
            app.get(&account.path(&format!("{path}{separator}accept=csv")), &account.token)
        };
        load(
            test,
            account,
            [("few", 30), ("many", 60)].map(|(id, number)| json!({"_id": id, "other": columns(number)})),
        );
        assert_eq!(csv("groups/few").status, 200);
        let answer = csv("groups/many");
        assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("too_large")));
        assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"columns\"}"], 1.0);
        // one long key above many columns
        let long = json!({"_id": "long", "k".repeat(1_000): columns(40)});
        load(test, account, [long]);
        assert_eq!(csv("groups/long").status, 400);
        // many rows, each with a column of its own
        let rows = (0..40).map(|n| json!({"_id": format!("r{n}"), "pvt_type": "group", "flags": {format!("k{n}"): 1}}));
        load(test, account, rows);
        assert_eq!(csv("groups").status, 200);
        let rows =
            (40..60).map(|n| json!({"_id": format!("r{n}"), "pvt_type": "group", "flags": {format!("k{n}"): 1}}));
        load(test, account, rows);
        assert_eq!(csv("groups?page_size=40").status, 200);
        assert_eq!(csv("groups?paginate=false").status, 400);
    });
}

#[test]
fn an_answer_has_so_many_bytes() {
    on_every_store(&["--max-answer", "5000"], |test, account, app| {
        load(test, account, (0..40).map(|n| group(&format!("g{n}"), 0, &"x".repeat(100))));
        let ask = |query: &str| app.get(&account.path(&format!("groups?{query}")), &account.token);
        for query in ["paginate=false", "page_size=40", "paginate=false&has_key=name"] {
            let answer = ask(query);
            assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("too_large")), "{query}");
        }
        for query in ["page_size=10", "paginate=false&filter_not_name=x"] {
            assert_eq!(ask(query).status, 200, "{query}");
        }
        assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"answer\"}"], 3.0);
    });
}

#[test]
fn a_table_is_made_in_the_memory_that_it_has_itself() {
    let mut test = TestStore::new(Kind::Embedded);
    let account = test.account();
    // its headings would have 250 MB
    let columns: Value = (0..25_000).map(|number| (format!("k{number}"), json!(1))).collect();
    load(&test, &account, [json!({"_id": "wide", "k".repeat(10_000): columns})]);
    load(&test, &account, [json!({"_id": "list", "list": vec![1; 500_000]})]);
    let served = test.served(&["--workers", "1"]);
    assert_eq!(costs(&served, &account, "groups/wide?accept=csv", 2, (60 * MB, 40 * MB)), [400; 2]);
    assert_eq!(costs(&served, &account, "groups/list?accept=csv", 2, (60 * MB, 40 * MB)), [200; 2]);
}

#[test]
fn a_filtered_list_holds_no_documents() {
    let mut test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let text = "x".repeat(40_000);
    for batch in 0..10 {
        let group = |n: usize| json!({"_id": format!("g{}", batch * 100 + n), "pvt_type": "group", "text": text});
        load(&test, &account, (0..100).map(group));
    }
    let served = test.served(&["--workers", "1"]);
    // 40 MB of documents for each of them; what is held of the file is one of these
    let path = "groups?paginate=false&has_key=text";
    assert_eq!(costs(&served, &account, path, 8, (150 * MB, 100 * MB)), [200; 8]);
}

#[test]
fn large_documents_are_read_few_at_a_time() {
    let mut test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let text = "x".repeat(3 * MB);
    for number in 0..40 {
        load(&test, &account, [json!({"_id": format!("g{number:02}"), "pvt_type": "group", "text": text})]);
    }
    let served = test.served(&["--workers", "1"]);
    let path = "groups?paginate=false&has_key=text";
    assert_eq!(costs(&served, &account, path, 2, (150 * MB, 100 * MB)), [200; 2]);
}

#[test]
fn what_a_real_account_sends_is_served() {
    on_every_store(&[], |_, account, app| {
        let long = json!({"name": "x", "endpoints": {}, "text": "x".repeat(7_900_000)});
        let texts = json!({"name": "x", "endpoints": {}, "texts": vec!["x".repeat(1_000); 7_800]});
        for group in [long, texts] {
            let id = app.create(account, group);
            let answer = app.get(&account.path(&format!("groups/{id}")), &account.token);
            assert!(answer.status == 200 && answer.body.len() > 7_500_000);
        }
        let users = public(group("", 2_000, "x")).unwrap();
        app.create(account, users["data"].clone());
        assert_eq!(app.get(&account.path("groups?has_key=name"), &account.token).json()["page_size"], 3);
    });
}
