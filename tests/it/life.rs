//! Life in production: health, readiness, metrics and logs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::program::{Served, program};
use crate::common::{Kind, NO_COUCHDB, TestApp, TestStore, block_on, client, put_an_account, recording};
use crossbar_groups::document::{DbName, Document};
use crossbar_groups::store::Attachments;

fn admin(app: &TestApp, path: &str) -> (u16, Value) {
    let answer = client::send(app.admin_address, "GET", path, &[], None).unwrap();
    (answer.status, answer.json())
}

#[test]
fn counters_move_by_what_was_asked() {
    for kind in Kind::all() {
        // what is ready in memory may not be asked for again
        let least = if matches!(kind, Kind::Embedded) { 1.0 } else { 3.0 };
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::unlimited(test.store());
        let list = account.path("groups");
        for _ in 0..3 {
            assert_eq!(app.get(&list, &account.token).status, 200);
        }
        assert_eq!(app.get(&list, "x").status, 401);
        let data = Some(json!({"data": {"name": "a", "endpoints": {}}}));
        assert_eq!(app.send("PUT", &list, &account.token, data).status, 201);
        assert_eq!(app.get(&account.path("groups/nothing"), &account.token).status, 404);
        app.send("FROB", "/v2/frobs", "", None);

        let samples = app.metrics();
        for name in samples.keys() {
            assert!(name.starts_with("crossbar_") || name.starts_with("process_"), "{name}");
        }
        let requests = |route: &str, method: &str, status: u16| {
            let name = format!("crossbar_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}");
            samples.get(&name).copied().unwrap_or_default()
        };
        assert_eq!(requests("groups", "GET", 200), 3.0);
        assert_eq!(requests("groups", "GET", 401), 1.0);
        assert_eq!(requests("groups", "PUT", 201), 1.0);
        assert_eq!(requests("groups/{id}", "GET", 404), 1.0);
        assert_eq!(requests("other", "other", 401), 1.0);
        assert_eq!(samples["crossbar_request_duration_seconds_count{route=\"groups\"}"], 5.0);
        assert!((least..=3.0).contains(&samples["crossbar_store_calls_total{call=\"rows\",outcome=\"ok\"}"]));
        assert_eq!(samples["crossbar_store_calls_total{call=\"put\",outcome=\"ok\"}"], 1.0);
        assert_eq!(samples["crossbar_auth_cache_lookups_total{of=\"key\",outcome=\"miss\"}"], 1.0);
        assert!(samples["crossbar_auth_cache_lookups_total{of=\"token\",outcome=\"hit\"}"] >= 3.0);
        assert!(samples["process_start_time_seconds"] > 1.7e9);
        let text = format!("{samples:?}");
        assert!(!text.contains(account.id.as_str()) && !text.contains(&account.token), "{text}");
    }
}

#[test]
fn admin_routes_are_where_they_are_asked_for() {
    let test = TestStore::new(Kind::Embedded);
    let app = TestApp::start(test.store(), &[]);
    assert_eq!(app.admin_address, app.address);
    assert_eq!(admin(&app, "/healthz"), (200, json!({"status": "alive"})));
    assert_eq!(admin(&app, "/readyz"), (200, json!({"status": "ready"})));
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(client::send(app.address, "HEAD", path, &[], None).unwrap().status, 200, "{path}");
    }

    let apart = TestApp::start(test.store(), &["--admin-listen", "127.0.0.1:0"]);
    assert_ne!(apart.admin_address, apart.address);
    assert_eq!(admin(&apart, "/readyz").0, 200);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(apart.get(path, "").status, 404, "{path}");
    }
}

#[test]
fn without_its_store_it_lives_but_is_not_ready() {
    let app = TestApp::before(&[NO_COUCHDB]);
    assert_eq!(admin(&app, "/healthz").0, 200);
    assert_eq!(admin(&app, "/readyz"), (503, json!({"status": "not ready", "reason": "store unreachable"})));
}

#[test]
fn whether_a_write_is_possible_is_proved_once_for_many_and_changes_no_document() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let store = test.store();
        let system: DbName = "system_config".parse().unwrap();
        let dump = || block_on(store.dump(&system, None, 1_000, Attachments::Named)).unwrap().unwrap();
        let before = dump();
        let app = TestApp::unlimited(test.store());
        let started = Instant::now();
        thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| assert_eq!(admin(&app, "/readyz"), (200, json!({"status": "ready"}))));
            }
        });
        let most = 1.0 + started.elapsed().as_secs_f64().floor();
        let proofs = app.metrics()["crossbar_store_calls_total{call=\"prove_writable\",outcome=\"ok\"}"];
        assert!((1.0..=most).contains(&proofs), "{proofs} proofs");
        let json = |documents: Vec<Document>| documents.iter().map(Document::to_json).collect::<Vec<_>>();
        assert_eq!(json(dump()), json(before));
    }
}

#[test]
fn a_store_that_reads_but_does_not_write_is_not_ready() {
    // it answers every read with an empty object, and lets nobody write
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://admin:password@{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap();
            let status = if head[..length].starts_with(b"GET") { "200 OK" } else { "403 Forbidden" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let app = TestApp::before(&[url]);
    assert_eq!(admin(&app, "/readyz"), (503, json!({"status": "not ready", "reason": "store not writable"})));
}

#[test]
fn the_log_is_json_if_asked_and_holds_no_token() {
    let folder = tempfile::tempdir().unwrap();
    put_an_account(folder.path());
    let mut process = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--store", folder.path().to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let started = next();
    let address = started["message"].as_str().unwrap().rsplit("http://").next().unwrap().parse().unwrap();

    let variables = recording::variables();
    let (account, token) = (&variables["B"], &variables["TB"]);
    let headers = [("X-Auth-Token", token.as_str()), ("X-Request-ID", "my-request")];
    let path = format!("/v2/accounts/{account}/groups?auth_token={token}");
    assert_eq!(client::send(address, "GET", &path, &headers, None).unwrap().status, 404);
    let line = next();
    assert!(!line.to_string().contains(token.as_str()), "{line}");
    for (field, want) in [
        ("level", json!("info")),
        ("request_id", json!("my-request")),
        ("client", json!("127.0.0.1")),
        ("account", json!("-")),
        ("method", json!("GET")),
        ("path", json!(format!("/v2/accounts/{account}/groups"))),
        ("status", json!(404)),
    ] {
        assert_eq!(line[field], want, "{field}");
    }
    assert!(line["ms"].is_number() && line["ts"].as_str().unwrap().ends_with('Z'));

    client::send(address, "GET", &format!("/v2/user_auth/{token}"), &headers, None).unwrap();
    let line = next();
    assert!(!line.to_string().contains(token.as_str()), "{line}");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn what_is_not_http_is_no_error_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    put_an_account(folder.path());
    let served = Served::start(&["--store", folder.path().to_str().unwrap()]);
    for garbage in ["GET / HTTP/9.9\r\n\r\n", "\0\r\n\r\n", "GET / HTTP/1.1\r\nA b: c\r\n\r\n"] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(client::send(served.address, "GET", "/v2/about", &[], None).unwrap().status, 401);
    let logged = served.logged("/v2/about");
    assert_eq!(logged.len(), 1, "{logged:?}");
}
