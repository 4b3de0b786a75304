//! Who is let in, with how much, and for how long.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::{Kind, TestAccount, TestApp, TestStore, hanging};
use crossbar_groups::store::couch::{Couch, CouchOptions};

fn serve(arguments: &[&str]) -> (TestStore, TestAccount, TestApp) {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::start(test.store(), &[&["--rate-limit", "off"], arguments].concat());
    (test, account, app)
}

/// A group whose JSON has so many bytes and some more.
fn large(bytes: usize) -> String {
    json!({"data": {"name": "large", "endpoints": {}, "text": "x".repeat(bytes)}}).to_string()
}

fn put(app: &TestApp, path: &str, token: &str, body: &str) -> Response {
    let headers = [("X-Auth-Token", token), ("Content-Type", "application/json")];
    client::send(app.address, "PUT", path, &headers, Some(body.as_bytes())).unwrap()
}

/// A connection on which a request of `token` has been begun: its head, and what is `sent` of `length` bytes of body.
fn begin(app: &TestApp, path: &str, token: &str, length: usize, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // it may have been closed meanwhile
    let _ = stream.write_all(sent.as_bytes());
    stream
}

/// What is answered until the connection is closed.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // it may be reset, since what was sent was not read
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until requests hold as many bytes as `enough` says.
fn wait_until_held(app: &TestApp, enough: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !enough(app.metrics()["crossbar_bytes_in_flight"]) {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_large_body_is_read_of_those_whose_token_is_believed() {
    let (_test, account, app) = serve(&["--max-open-body", "100000", "--max-body", "300000"]);
    let groups = account.path("groups");
    assert_eq!(put(&app, &groups, &account.token, &large(290_000)).status, 201);
    let in_query = format!("{groups}?auth_token={}", account.token);
    let answer = client::send(app.address, "PUT", &in_query, &[], Some(large(290_000).as_bytes())).unwrap();
    assert_eq!(answer.status, 201);
    for (token, bytes, most) in
        [(account.token.as_str(), 300_000, 300_000), ("x", 100_000, 100_000), ("", 100_000, 100_000)]
    {
        let answer = put(&app, &groups, token, &large(bytes));
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
        assert_eq!(answer.json()["data"]["file"]["maxSize"]["target"], most);
    }
    // where no token is needed, one lets more through all the same
    let open = "/v2/schemas/groups/validation";
    assert_eq!(put(&app, open, "", &large(100_000)).status, 413);
    assert_eq!(put(&app, open, &account.token, &large(100_000)).status, 201);
    assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"body\"}"], 4.0);
}

#[test]
fn who_dribbles_a_body_is_let_go_and_keeps_nobody_else_out() {
    let (_test, account, app) = serve(&["--body-time-out", "1", "--max-requests", "4"]);
    let groups = account.path("groups");
    let begun = Instant::now();
    let slow: Vec<TcpStream> = (0..200).map(|_| begin(&app, &groups, &account.token, 1000, "{")).collect();
    assert_eq!(app.get(&groups, &account.token).status, 200);
    for stream in slow {
        let answer = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"request_timeout\""), "{answer}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn who_says_no_more_than_half_a_head_is_let_go() {
    let (_test, _account, app) = serve(&["--head-time-out", "1"]);
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let begun = Instant::now();
    rest(stream);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn what_waits_for_long_has_a_deadline_and_what_comes_on_top_is_told_at_once() {
    let (_node, url) = hanging();
    let store = Couch::new(&[url], &CouchOptions::default()).unwrap();
    let arguments = ["--rate-limit", "off", "--deadline", "2", "--max-requests", "3"];
    let app = TestApp::start(std::sync::Arc::new(store), &arguments);
    let path = "/v2/accounts/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1/groups";
    let timed = |path: &str| {
        let begun = Instant::now();
        (app.get(path, ""), begun.elapsed())
    };
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| timed(path))).collect();
        thread::sleep(Duration::from_millis(500));
        let (answer, took) = timed(path);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(answer.json()["message"], "overloaded");
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert_eq!(client::send(app.admin_address, "GET", "/healthz", &[], None).unwrap().status, 200);
        for waiting in waiting {
            let (answer, took) = waiting.join().unwrap();
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
            assert_eq!(answer.json()["message"], "timeout");
            assert!((2..4).contains(&took.as_secs()), "{took:?}");
        }
    });
    assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"requests\"}"], 1.0);
    assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"deadline\"}"], 3.0);
}

#[test]
fn bodies_in_flight_are_bounded_and_those_of_strangers_apart() {
    let (_test, account, app) = serve(&["--max-in-flight", "2000000", "--max-open-body", "200000"]);
    let groups = account.path("groups");
    let part = "x".repeat(900_000);
    let held: Vec<TcpStream> = (0..2).map(|_| begin(&app, &groups, &account.token, 1_000_000, &part)).collect();
    wait_until_held(&app, |held| held > 1_700_000.0);
    let answer = put(&app, &groups, &account.token, &large(400_000));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["message"], "overloaded");
    assert_eq!(put(&app, &groups, &account.token, &large(10_000)).status, 201, "a small one is always taken");
    drop(held);
    wait_until_held(&app, |held| held == 0.0);

    let part = "x".repeat(120_000);
    let strangers: Vec<TcpStream> = (0..2).map(|_| begin(&app, &groups, "", 200_000, &part)).collect();
    wait_until_held(&app, |held| held > 230_000.0);
    assert_eq!(put(&app, &groups, "", &large(120_000)).status, 503);
    assert_eq!(put(&app, &groups, &account.token, &large(1_900_000)).status, 201, "strangers keep nobody out");
    drop(strangers);
}

#[test]
fn who_takes_nothing_of_an_answer_holds_it_for_a_while_only() {
    let (_test, account, app) = serve(&["--max-in-flight", "8000000", "--send-time-out", "1", "--deadline", "20"]);
    let answer = put(&app, &account.path("groups"), &account.token, &large(7_000_000));
    let group = account.path(&format!("groups/{}", answer.json()["data"]["id"].as_str().unwrap()));
    let mut idle = TcpStream::connect(app.address).unwrap();
    let head = format!("GET {group} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\n\r\n", account.token);
    idle.write_all(head.as_bytes()).unwrap();
    wait_until_held(&app, |held| held > 0.0);
    // who comes next waits for it
    let begun = Instant::now();
    let answer = app.get(&group, &account.token);
    assert_eq!(answer.status, 200);
    assert!((1..10).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(rest(idle).len() < 7_000_000);
}

#[test]
fn a_url_has_an_end() {
    let (_test, account, app) = serve(&[]);
    let query = |length: usize| format!("{}?filter_x={}", account.path("groups"), "x".repeat(length));
    assert_eq!(app.get(&query(16_000), &account.token).status, 200);
    let answer = app.get(&query(17_000), &account.token);
    assert_eq!((answer.status, &answer.json()["message"]), (414, &json!("uri_too_long")));
}

#[test]
fn what_is_wrong_with_a_large_body_is_not_said_with_all_of_it() {
    let (_test, account, app) = serve(&[]);
    for body in
        [format!("{{\"x\":\"{}\"}}", "x".repeat(2_000_000)), format!("{{\"data\":\"{}\"}}", "x".repeat(2_000_000))]
    {
        let answer = put(&app, &account.path("groups"), &account.token, &body);
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 10_000, "{}", answer.body.len());
    }
}
