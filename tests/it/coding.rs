//! Answers that are made shorter on their way: for whom, by how much, and what stays as it is in them.

use std::io::Read;

use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::{Kind, TestAccount, TestApp, TestStore};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// An account with so many groups that all of them are no quick answer.
fn with_groups() -> (TestStore, TestAccount, TestApp) {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::unlimited(test.store());
    for at in 0..80 {
        let flags: Vec<String> =
            (0..20).map(|flag| format!("flag {at} {flag}, of some length so that rows are long")).collect();
        app.create(
            &account,
            json!({"id": format!("g{at:02}"), "name": format!("group {at}"), "flags": flags, "endpoints": {}}),
        );
    }
    (test, account, app)
}

fn ask(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Response {
    client::send(app.address, method, path, headers, body.map(str::as_bytes)).unwrap()
}

fn get(app: &TestApp, account: &TestAccount, path: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [&[("X-Auth-Token", account.token.as_str())], headers].concat();
    ask(app, "GET", &account.path(path), &headers, None)
}

/// A body as it was before it was coded.
fn decoded(answer: &Response) -> String {
    let mut text = String::new();
    let body = answer.body.as_slice();
    match answer.header("content-encoding") {
        None => text = answer.text(),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(body, 4096).read_to_string(&mut text).unwrap()),
        Some("zstd") => text = String::from_utf8(zstd::decode_all(body).unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
    text
}

/// The same without what no two answers have in common.
fn comparable(answer: &Response) -> String {
    let text = decoded(answer);
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    time.replace(&text, "(now)").into_owned()
}

fn varies(answer: &Response) -> bool {
    answer.headers.iter().any(|(name, value)| name == "vary" && value.contains("accept-encoding"))
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn every_coding_says_the_same() {
    let (_test, account, app) = with_groups();
    let wrong = json!({"data": {"name": "x", "flags": (0..200).collect::<Vec<_>>()}}).to_string();
    let sent =
        json!({"data": {"name": "x".repeat(100), "endpoints": {}, "text": "some text, ".repeat(200)}}).to_string();
    let (groups, token) = (account.path("groups"), account.token.as_str());
    for (method, path, body, status) in [
        ("GET", format!("{groups}?page_size=30"), None, 200),
        ("GET", format!("{groups}?page_size=5&start_key="), None, 200),
        ("GET", format!("{groups}?paginate=false"), None, 200),
        ("GET", format!("{groups}?paginate=false&pretty_print=true"), None, 200),
        ("GET", format!("{groups}?jsonp=show"), None, 200),
        ("GET", format!("{groups}?jsonp=show&pretty_print=true"), None, 200),
        ("GET", format!("{groups}?accept=csv&paginate=false"), None, 200),
        ("GET", format!("{groups}?accept=csv&page_size=10"), None, 200),
        ("GET", groups.replace("/v2/", "/v1/"), None, 200),
        ("GET", format!("{groups}/g07"), None, 200),
        ("GET", format!("{groups}/g07?pretty_print=true"), None, 200),
        ("GET", "/v2/schemas/groups".to_owned(), None, 200),
        ("POST", format!("{groups}/g08"), Some(wrong.as_str()), 400),
        ("PUT", "/v2/schemas/groups/validation".to_owned(), Some(sent.as_str()), 201),
    ] {
        let ask = |coding: &str| {
            let headers = [
                ("X-Auth-Token", token),
                ("Content-Type", "application/json"),
                ("X-Request-ID", "the-same"),
                ("Accept-Encoding", coding),
            ];
            ask(&app, method, &path, &headers, body)
        };
        let plain = ask("identity");
        assert_eq!(plain.status, status, "{path}: {}", plain.text());
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert!(varies(&plain) && plain.body.len() > 1024, "{path}");
        for coding in CODINGS {
            let coded = ask(coding);
            assert_eq!(coded.status, status, "{path}");
            assert_eq!(coded.header("content-encoding"), Some(coding), "{path}");
            assert_eq!(coded.header("content-type"), plain.header("content-type"), "{path}");
            assert!(varies(&coded), "{path}");
            assert_eq!(comparable(&coded), comparable(&plain), "{path} {coding}");
            assert!(coded.body.len() < plain.body.len(), "{path} {coding}");
            // the token, and what a client chose of the envelope, are as they were
            if !path.contains("csv") {
                for text in [token, "the-same"] {
                    assert!(holds(&coded.body, text), "{path} {coding}");
                }
            }
        }
    }
}

#[test]
fn pages_become_a_third() {
    let (_test, account, app) = with_groups();
    let plain = get(&app, &account, "groups?paginate=false", &[]).body.len();
    assert!(plain > 65_536, "{plain}");
    for coding in CODINGS {
        let coded = get(&app, &account, "groups?paginate=false", &[("Accept-Encoding", coding)]).body.len();
        assert!(coded < plain / 3, "{coding}: {plain} become {coded}");
    }
}

#[test]
fn a_guess_at_the_token_makes_no_answer_shorter() {
    let (_test, account, app) = with_groups();
    let guesses = [account.token[..120].to_owned(), account.token[..120].chars().rev().collect()];
    for coding in CODINGS {
        let length = |guess: &String| {
            let headers = [("Accept-Encoding", coding), ("X-Request-ID", guess.as_str())];
            let answer = get(&app, &account, "groups?page_size=20", &headers);
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert!(decoded(&answer).contains(guess));
            answer.body.len()
        };
        assert_eq!(length(&guesses[0]), length(&guesses[1]), "{coding}");
    }
}

#[test]
fn what_is_short_or_not_asked_for_is_sent_as_it_is() {
    let (_test, account, app) = with_groups();
    let all = ("Accept-Encoding", "gzip, deflate, br, zstd");
    for (path, headers, coding) in [
        ("groups?page_size=20", vec![], None),
        ("groups?page_size=20", vec![("Accept-Encoding", "*")], None),
        ("groups?page_size=20", vec![("Accept-Encoding", "deflate, gzip;q=0")], None),
        ("groups?page_size=20", vec![("Accept-Encoding", "identity, gzip;q=0.9")], None),
        ("groups?page_size=20", vec![("Accept-Encoding", "br;q=0.8, gzip;q=0.9")], Some("gzip")),
        ("groups?page_size=20", vec![("Accept-Encoding", "br;q=0.8"), ("Accept-Encoding", "gzip;q=0.2")], Some("br")),
        ("groups?page_size=20", vec![all], Some("zstd")),
        ("groups/none", vec![all], None),
    ] {
        let answer = get(&app, &account, path, &headers);
        assert_eq!(answer.header("content-encoding"), coding, "{path} {headers:?}");
    }
    // without a token in it, an answer of less than 1 KB
    let short = ask(&app, "GET", "/v2/schemas", &[all], None);
    assert_eq!((short.status, short.body.len() < 1024), (200, true));
    assert_eq!((short.header("content-encoding"), varies(&short)), (None, false));
    let admin = ask(&app, "GET", "/metrics", &[all], None);
    assert_eq!(admin.header("content-encoding"), None);
}

#[test]
fn who_has_an_answer_in_any_coding_has_it() {
    let (_test, account, app) = with_groups();
    for path in ["groups?page_size=20", "groups/g07", "groups?accept=csv"] {
        let plain = get(&app, &account, path, &[]).header("etag").unwrap().to_owned();
        let mut tags = vec![plain.clone()];
        for coding in CODINGS {
            let coded = get(&app, &account, path, &[("Accept-Encoding", coding)]);
            tags.push(coded.header("etag").unwrap().to_owned());
            assert_eq!(*tags.last().unwrap(), format!("\"{}-{coding}\"", plain.trim_matches('"')));
        }
        for tag in &tags {
            for takes in ["identity", "gzip", "br, zstd"] {
                for (known, said) in
                    [(tag.clone(), tag), (format!("\"other\", W/{tag}"), tag), ("*".to_owned(), &plain)]
                {
                    let answer = get(&app, &account, path, &[("Accept-Encoding", takes), ("If-None-Match", &known)]);
                    assert_eq!(answer.status, 304, "{path} {known}");
                    assert_eq!(answer.header("etag"), Some(said.as_str()), "{path} {known}");
                    assert_eq!(answer.header("content-encoding"), None);
                    assert!(varies(&answer) && answer.body.is_empty());
                }
            }
        }
        let answer = get(&app, &account, path, &[("If-None-Match", "\"other-gzip\", \"other\"")]);
        assert_eq!(answer.status, 200);
    }
    // and may change what it has
    for (at, coding) in CODINGS.into_iter().enumerate() {
        let tag = get(&app, &account, "groups/g07", &[("Accept-Encoding", coding)]).header("etag").unwrap().to_owned();
        let change = |tag: &str| {
            let headers =
                [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json"), ("If-Match", tag)];
            let body = json!({"data": {"name": format!("changed {at}")}}).to_string();
            ask(&app, "PATCH", &account.path("groups/g07"), &headers, Some(&body)).status
        };
        assert_eq!((change(&tag), change(&tag), change(&format!("W/{tag}"))), (200, 412, 412), "{coding}");
    }
}

#[test]
fn the_head_is_that_of_the_body() {
    let (_test, account, app) = with_groups();
    for coding in CODINGS.into_iter().chain(["identity"]) {
        for path in ["groups?page_size=20", "groups?paginate=false", "groups/g07"] {
            let headers = [("Accept-Encoding", coding)];
            let whole = get(&app, &account, path, &headers);
            let headers = [("X-Auth-Token", account.token.as_str()), headers[0]];
            let head = ask(&app, "HEAD", &account.path(path), &headers, None);
            assert_eq!(head.status, 200);
            for name in ["content-encoding", "etag", "content-type", "content-length"] {
                assert_eq!(head.header(name), whole.header(name), "{path} {coding} {name}");
            }
        }
    }
    let empty = get(&app, &account, "groups?accept=csv&filter_name=none", &[("Accept-Encoding", "gzip")]);
    assert_eq!((empty.status, empty.header("content-encoding"), empty.body.len()), (204, None, 0));
}

#[test]
fn a_large_table_and_a_large_error_are_coded_too() {
    let (_test, account, app) = with_groups();
    let long = json!({"data": {"name": "x", "flags": "x".repeat(70_000)}}).to_string();
    let headers =
        [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json"), ("Accept-Encoding", "gzip")];
    let refused = ask(&app, "PUT", &account.path("groups"), &headers, Some(&long));
    assert_eq!((refused.status, refused.header("content-encoding")), (400, Some("gzip")));
    let said: Value = serde_json::from_str(&decoded(&refused)).unwrap();
    assert_eq!((&said["status"], &said["auth_token"]), (&json!("error"), &json!(account.token)));
}
