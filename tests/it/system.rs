//! What an operator's own documents in the system's databases change, and what a client sees of HTTP itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, named, put};

/// Tests that share a CouchDB must leave its system documents alone.
fn of_its_own() -> (TestStore, TestAccount, TestApp) {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0.1"]);
    (test, account, app)
}

fn create(app: &TestApp, account: &TestAccount, id: &str) {
    app.create(account, json!({"id": id, "name": id, "endpoints": {}}));
}

fn send(app: &TestApp, account: &TestAccount, method: &str, path: &str, header: (&str, &str), body: &str) -> Response {
    let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json"), header];
    client::send(app.address, method, &account.path(path), &headers, Some(body.as_bytes())).unwrap()
}

#[test]
fn the_system_says_how_many_rows_a_page_has() {
    let (test, account, app) = of_its_own();
    for id in ["a", "b", "c", "d"] {
        create(&app, &account, id);
    }
    let rows = |query: &str| {
        let answer = app.get(&account.path(&format!("groups{query}")), &account.token).json();
        answer["page_size"].as_u64().unwrap()
    };
    assert_eq!(rows(""), 4);
    for (configured, size) in [(json!(3), 3), (json!("2"), 2), (json!(0), 4), (json!("x"), 4)] {
        let crossbar = json!({"_id": "crossbar", "default": {"pagination_page_size": configured}});
        put(&test.store(), &"system_config".parse().unwrap(), crossbar);
        thread::sleep(Duration::from_millis(150));
        assert_eq!(rows(""), size, "{configured}");
        assert_eq!(rows("?page_size=1"), 1);
        assert_eq!(rows("?page_size=0"), size);
    }
}

#[test]
fn an_operators_schema_takes_the_place_of_ours() {
    let (test, account, app) = of_its_own();
    let (groups, token, store) = (account.path("groups"), account.token.as_str(), test.store());
    let long = "a name of more than ten letters";
    assert_eq!(app.send("PUT", &groups, token, named(long)).status, 201);
    let schemas = "system_schemas".parse().unwrap();
    block_on(store.create(&schemas)).unwrap();
    let schema = |most: u64| {
        json!({
            "_id": "groups", "$schema": "http://json-schema.org/draft-04/schema#", "type": "object",
            "required": ["name", "endpoints"], "pvt_type": "schema",
            "properties": {
                "name": {"type": "string", "maxLength": most}, "endpoints": {"type": "object", "default": {}},
                "music_on_hold": {"type": "object", "default": {}}, "color": {"default": "red"},
            },
        })
    };
    put(&store, &schemas, schema(10));
    thread::sleep(Duration::from_millis(150));
    let answer = app.send("PUT", &groups, token, named(long));
    assert_eq!(answer.status, 400, "{}", answer.text());
    let message = &answer.json()["data"]["name"]["maxLength"]["message"];
    assert_eq!(message, "String must not be more than 10 characters");
    let answer = app.send("PUT", &groups, token, named("short"));
    assert_eq!((answer.status, &answer.json()["data"]["color"]), (201, &json!("red")));
    let shown = app.get("/v2/schemas/groups", "").json();
    assert_eq!(shown["data"]["properties"]["name"]["maxLength"], 10);
    assert_eq!((&shown["data"]["id"], shown["data"].get("pvt_type")), (&json!("groups"), None));

    // it is read again when it changes
    put(&store, &schemas, schema(100));
    thread::sleep(Duration::from_millis(150));
    assert_eq!(app.send("PUT", &groups, token, named(long)).status, 201);
    // what is no schema lets nothing through
    put(&store, &schemas, json!({"_id": "groups", "type": "nothing"}));
    thread::sleep(Duration::from_millis(150));
    let answer = app.send("PUT", &groups, token, named("short"));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["data"]["schema"]["schema"]["message"], "schema is invalid");
}

#[test]
fn a_group_behind_a_full_page_changes_its_etag() {
    let (_test, account, app) = of_its_own();
    for id in ["a", "b"] {
        create(&app, &account, id);
    }
    let page = "groups?page_size=2";
    let first = send(&app, &account, "GET", page, ("X-Nothing", ""), "");
    let etag = first.header("etag").unwrap();
    assert_eq!(first.json().get("next_start_key"), None);
    assert_eq!(send(&app, &account, "GET", page, ("If-None-Match", etag), "").status, 304);
    create(&app, &account, "c");
    let again = send(&app, &account, "GET", page, ("If-None-Match", etag), "");
    assert_eq!(again.status, 200);
    assert!(again.json()["next_start_key"].is_string());
}

#[test]
fn who_says_that_any_revision_will_do_is_tried_again() {
    let (_test, account, app) = of_its_own();
    create(&app, &account, "a");
    thread::scope(|scope| {
        for writer in 0..2 {
            let (app, account) = (&app, &account);
            scope.spawn(move || {
                for number in 0..50 {
                    let body = json!({"data": {format!("of_{writer}"): {number.to_string(): true}}}).to_string();
                    let answer = send(app, account, "PATCH", "groups/a", ("If-Match", "*"), &body);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    let group = app.get(&account.path("groups/a"), &account.token).json();
    for writer in ["of_0", "of_1"] {
        assert_eq!(group["data"][writer].as_object().unwrap().len(), 50);
    }
}

#[test]
fn an_idle_connection_stays_open() {
    let (_test, _account, app) = of_its_own();
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for pause in [0, 7] {
        thread::sleep(Duration::from_secs(pause));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"/groups\n") {
            let mut chunk = [0; 1024];
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the connection was closed after {pause} s");
            answer.extend_from_slice(&chunk[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[test]
fn answers_have_the_headers_that_a_cache_looks_at() {
    let (_test, account, app) = of_its_own();
    create(&app, &account, "a");
    for (path, status, expires) in [
        ("groups", 200, Some("Fri, 01 Jan 1999 00:00:00 GMT")),
        ("groups/a", 200, Some("Fri, 01 Jan 1999 00:00:00 GMT")),
        ("groups?accept=csv", 200, Some("Fri, 01 Jan 1999 00:00:00 GMT")),
        ("groups/none", 404, None),
    ] {
        let answer = send(&app, &account, "GET", path, ("Accept-Language", "de-CH, en;q=0.5"), "");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("expires"), expires, "{path}");
        assert_eq!(answer.header("vary"), Some("accept-language, accept"), "{path}");
        assert_eq!(answer.header("content-language"), Some("de-ch"), "{path}");
        // the token is in the answer: no cache between may keep it, and one's own asks for each answer anew
        let by_client = answer.headers.iter().any(|(name, value)| name == "vary" && value.contains("x-auth-token"));
        assert_eq!(by_client, status == 200, "{path}");
        let kept = if status == 200 { "private, no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
    }
}

#[test]
fn however_much_is_wrong_a_hundred_findings_are_named() {
    let (_test, account, app) = of_its_own();
    let wrong = |items: usize| format!(r#"{{"data":{{"name":"x","flags":[{}1]}}}}"#, "1,".repeat(items - 1));
    for (items, findings) in [(1, 1), (100, 100), (50_000, 101), (3_900_000, 1)] {
        for (method, path) in [("PUT", "/v2/schemas/groups/validation".to_owned()), ("PUT", account.path("groups"))] {
            let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
            let answer = client::send(app.address, method, &path, &headers, Some(wrong(items).as_bytes())).unwrap();
            assert_eq!(answer.status, 400, "{items}");
            let data = answer.json()["data"].as_object().unwrap().clone();
            assert_eq!(data.len(), findings, "{items}");
            match items {
                50_000 => assert_eq!(data["data"]["more"]["message"], "and 49900 more"),
                3_900_000 => assert_eq!(data["data"]["maxValues"]["target"], 100_000),
                _ => assert!(data.keys().all(|property| property.starts_with("flags.")), "{data:?}"),
            }
        }
    }
}

#[test]
fn as_much_is_indented_as_may_be() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    for (most, is_indented) in [("2000", false), ("20000", true)] {
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--max-indented", most]);
        let group = app.create(&account, json!({"name": "x", "endpoints": {}, "text": "x".repeat(2_000)}));
        let path = account.path(&format!("groups/{group}?pretty_print=true"));
        assert_eq!(app.get(&path, &account.token).text().contains('\n'), is_indented, "{most}");
    }
}

#[test]
fn indentation_makes_no_bomb() {
    let (_test, account, app) = of_its_own();
    let json = |path: &str| {
        let nested = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let body = format!(r#"{{"data":{{"name":"x","nested":[{}[]]}}}}"#, format!("{nested},").repeat(500));
        let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
        let answer = client::send(app.address, "PUT", path, &headers, Some(body.as_bytes())).unwrap();
        assert_eq!(answer.status, 201);
        (body.len(), answer.body.len())
    };
    let (sent, answered) = json("/v2/schemas/groups/validation?pretty_print=true");
    assert!(answered < sent + 10_000, "{sent} in, {answered} out");
}
