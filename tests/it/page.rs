//! The page for people: what is served of it, to whom, and with which headers. That it works in a browser is tried by
//! `tests/page/`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::program::{program, refuses};
use crate::common::{Kind, TestApp, TestStore, block_on, client, import, seed_files};

fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> client::Response {
    client::send(app.address, "GET", path, headers, None).unwrap()
}

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[test]
fn a_browser_is_led_to_the_page_and_a_program_is_told_of_it() {
    let store = TestStore::new(Kind::Embedded);
    let app = TestApp::unlimited(store.store());
    for path in ["/", "/docs/"] {
        let answer = get(&app, path, &[("Accept", BROWSER)]);
        assert_eq!((answer.status, answer.header("location")), (302, Some("/docs")), "{path}");
    }
    for accept in [&[][..], &[("Accept", "*/*")]] {
        let answer = get(&app, "/", accept);
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("/docs") && answer.text().contains("/v2/accounts/"), "{}", answer.text());
    }
}

#[test]
fn all_that_the_page_needs_is_served_under_a_strict_policy() {
    let store = TestStore::new(Kind::Embedded);
    let app = TestApp::unlimited(store.store());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let assets = files.filter(|file| !file.ends_with(".rs")).map(|file| match file.as_str() {
        "console.html" => "/docs".to_owned(),
        "reference.html" => "/docs/reference".to_owned(),
        other => format!("/docs/{other}"),
    });
    for path in assets.chain(["/openapi.json".to_owned()]) {
        let answer = get(&app, &path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let head = client::send(app.address, "HEAD", &path, &[], None).unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, answer.header("content-type")), "{path}");
    }
    assert_eq!(get(&app, "/docs/nothing.js", &[]).status, 404);
}

#[test]
fn no_docs_leaves_out_the_page_and_the_document() {
    let store = TestStore::new(Kind::Embedded);
    let app = TestApp::start(store.store(), &["--no-docs"]);
    for path in ["/docs", "/docs/", "/docs/reference", "/docs/session", "/openapi.json"] {
        assert_eq!(get(&app, path, &[("Accept", BROWSER)]).status, 404, "{path}");
    }
    let answer = get(&app, "/", &[("Accept", BROWSER)]);
    assert!(answer.status == 200 && !answer.text().contains("/docs"), "{}", answer.text());
    refuses(&["openapi", "--address", "http://x"], "--postman");
}

#[test]
fn only_a_demo_offers_a_token_and_only_to_who_is_on_its_machine() {
    let store = TestStore::new(Kind::Embedded);
    block_on(import(store.store().as_ref(), seed_files()));
    let session = |app: &TestApp, host: &str| {
        let mut stream = TcpStream::connect(app.address).unwrap();
        write!(stream, "GET /docs/session HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let app = TestApp::unlimited(store.store());
    assert_eq!(session(&app, "127.0.0.1"), 204);
    let demo = TestApp::start(store.store(), &["--demo"]);
    assert_eq!(session(&demo, "localhost"), 200);
    for host in ["rebound.example.com", "10.0.0.1:8000", "127.0.0.1.example.com"] {
        assert_eq!(session(&demo, host), 204, "{host}");
    }
}

#[test]
fn a_person_can_use_it_in_a_browser() {
    // scripts/test says where what drives a browser is, if it can be had
    let Some(tests) = std::env::var_os("PAGE_TESTS").filter(|tests| !tests.is_empty()) else { return };
    let mut demo = program();
    let demo = demo.args(["serve", "--demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = demo.spawn().unwrap();
    let mut told = BufReader::new(process.stdout.take().unwrap());
    let mut first = String::new();
    told.read_line(&mut first).unwrap();
    let url = first.split("/docs").next().unwrap();
    let output = Command::new("node").arg(tests).arg(url).output();
    process.kill().unwrap();
    process.wait().unwrap();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
