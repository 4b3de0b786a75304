//! `--upstream`: what isn't ours goes to a crossbar and comes back as it came, and no more of it is held than what is under
//! way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::client;
use crate::common::program::Served;
use crate::common::tls::{Authority, TlsServer};
use crate::common::upstream::Upstream;
use crate::common::{Kind, TestApp, TestStore, hanging, named};

/// The service before an upstream.
fn before(upstream: &str, arguments: &[&str]) -> (TestApp, TestStore) {
    let store = TestStore::new(Kind::Embedded);
    let app = TestApp::start(store.store(), &[&["--rate-limit", "off", "--upstream", upstream], arguments].concat());
    (app, store)
}

/// Sends bytes, and gives all that comes back until the end: the head in lower case but for its values, and the rest.
fn exchange(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    rest(stream)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut all = Vec::new();
    // what was cut off is looked at as far as it came
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {all:?}"));
    let body = all.split_off(end + 4);
    (String::from_utf8(all).unwrap(), body)
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n{headers}\r\n")
}

#[test]
fn a_request_goes_on_as_it_came() {
    let upstream = Upstream::start(|asked, line| {
        let text = line.text(asked)?;
        line.answer("200 OK", "", &text)
    });
    let (app, _store) = before(&upstream.url(), &[]);
    let targets = [
        "/v2/accounts/a/devices",
        "/v1/accounts/a//devices/../users?filter_x=%zz&x&x=1+2",
        "/v2/accounts/a/users/b%2Fc/",
        "/v3/frobs",
        "/no/version",
        "/v2/accounts/a/groups/b/too/deep",
        "/v2/%zz",
        "/v2/about",
        "/v2/accounts/a/schemas/groups",
        "/v2",
    ];
    for target in targets {
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "FROB"] {
            let body = if matches!(method, "PUT" | "POST" | "PATCH" | "DELETE") { "{\"data\": {}}" } else { "" };
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: api.example.com\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                 TE: trailers\r\nX-Auth-Token: t\r\nX-Two: 1\r\nX-Two: 2\r\nX-Request-ID: {method}-1\r\n\
                 X-Forwarded-For: 203.0.113.9\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let (head, back) = exchange(app.address, &request);
            assert!(head.starts_with("HTTP/1.1 200"), "{method} {target}: {head}");
            assert!(head.contains(&format!("x-request-id: {method}-1")), "{head}");
            if method != "HEAD" {
                assert_eq!(String::from_utf8(back).unwrap(), body);
            }
            let asked = upstream.asked().pop().unwrap();
            assert_eq!((asked.method.as_str(), asked.target.as_str()), (method, target));
            let two: Vec<&str> =
                asked.headers.iter().filter(|(name, _)| name == "x-two").map(|(_, value)| value.as_str()).collect();
            assert_eq!(two, ["1", "2"]);
            for (name, value) in [
                ("host", "api.example.com"),
                ("x-auth-token", "t"),
                ("x-request-id", &format!("{method}-1")),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-host", "api.example.com"),
                ("x-forwarded-proto", "http"),
            ] {
                assert_eq!(asked.header(name), Some(value), "{name}");
            }
            for name in ["x-hop", "te", "connection", "accept", "accept-encoding", "user-agent"] {
                assert!(!asked.has(name), "{name}: {asked:?}");
            }
        }
    }
}

#[test]
fn an_answer_comes_back_as_it_came() {
    let upstream = Upstream::saying(
        "HTTP/1.1 302 Elsewhere\r\nLocation: http://127.0.0.1:1/v2/x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         Content-Encoding: gzip\r\nETag: \"x\"\r\nX-Request-ID: theirs\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nContent-Length: 9\r\n\r\nnot gzip!",
    );
    let (app, _store) = before(&upstream.url(), &[]);
    let (head, body) = exchange(app.address, &get("/v2/accounts/a/devices", "Accept-Encoding: gzip\r\n"));
    assert_eq!(upstream.asked()[0].header("accept-encoding"), Some("gzip"));
    assert!(head.starts_with("HTTP/1.1 302"), "{head}");
    for line in [
        "location: http://127.0.0.1:1/v2/x\r\n",
        "set-cookie: a=1\r\n",
        "set-cookie: b=2\r\n",
        "content-encoding: gzip\r\n",
        "etag: \"x\"\r\n",
        "x-request-id: theirs\r\n",
        "content-length: 9\r\n",
    ] {
        assert!(head.to_lowercase().contains(line), "{line} {head}");
    }
    assert!(!head.to_lowercase().contains("x-hop") && !head.to_lowercase().contains("keep-alive"), "{head}");
    assert_eq!(body, b"not gzip!");
}

#[test]
fn every_framing_of_an_answer_is_told_on() {
    let upstream = Upstream::start(|asked, line| {
        match asked.target.as_str() {
        "/v2/chunked" => {
            line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\n\r\n")
        }
        "/v2/until-closed" => {
            line.say("HTTP/1.1 200 OK\r\n\r\nabc")?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/v2/empty" => line.say("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"),
        "/v2/unchanged" => line.say("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 77\r\n\r\n"),
        "/v2/early" => {
            line.say("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")?;
            line.answer("200 OK", "", "abc")
        }
        "/v2/head" => line.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        "/v2/head-chunked" => line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "/v2/protocols" => line.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        other => panic!("{other}"),
    }
    });
    let (app, _store) = before(&upstream.url(), &[]);
    let ask = |method: &str, path: &str| {
        let (head, body) = exchange(app.address, &get(path, "").replace("GET", method));
        (head.to_lowercase(), String::from_utf8(body).unwrap())
    };
    let (head, body) = ask("GET", "/v2/chunked");
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("trailer"), "{head}");
    assert!(body.ends_with("0\r\n\r\n") && body.contains("c\r\n"), "{body}");
    let (head, body) = ask("GET", "/v2/until-closed");
    assert!(head.starts_with("http/1.1 200") && body.contains("abc"), "{head}{body}");
    let (head, body) = ask("GET", "/v2/empty");
    assert!(head.starts_with("http/1.1 204") && head.contains("x-a: 1") && body.is_empty(), "{head}{body}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    let (head, body) = ask("GET", "/v2/unchanged");
    assert!(head.starts_with("http/1.1 304") && head.contains("etag: \"1\"") && body.is_empty(), "{head}{body}");
    assert!(head.contains("content-length: 77"), "{head}");
    let (head, body) = ask("GET", "/v2/early");
    assert!(head.starts_with("http/1.1 200") && body == "abc", "{head}{body}");
    let (head, body) = ask("HEAD", "/v2/head");
    assert!(head.contains("content-length: 1000000") && body.is_empty(), "{head}{body}");
    let (head, body) = ask("HEAD", "/v2/head-chunked");
    assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}{body}");
    let (head, body) = ask("GET", "/v2/protocols");
    assert!(head.starts_with("http/1.1 502") && body.contains("upstream_fault"), "{head}{body}");
}

#[test]
fn a_body_goes_on_in_pieces_as_it_comes() {
    let (told, pieces) = mpsc::channel();
    let upstream = Upstream::start(move |asked, line| {
        assert_eq!(asked.header("transfer-encoding"), Some("chunked"));
        assert!(!asked.has("content-length") && !asked.has("expect"));
        line.body(asked, |piece| told.send(String::from_utf8(piece.to_vec()).unwrap()).unwrap())?;
        line.answer("201 Created", "", "done")
    });
    let (app, _store) = before(&upstream.url(), &[]);
    for method in ["PUT", "GET"] {
        let mut stream = connect(app.address);
        let head = format!("{method} /v2/accounts/a/media HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        write!(stream, "{head}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let mut continues = [0; 25];
        stream.read_exact(&mut continues).unwrap();
        assert_eq!(&continues, b"HTTP/1.1 100 Continue\r\n\r\n");
        for piece in ["abc", "def"] {
            write!(stream, "3\r\n{piece}\r\n").unwrap();
            // it has gone on before the next is sent
            assert_eq!(pieces.recv_timeout(Duration::from_secs(20)).unwrap(), piece);
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        let (head, body) = rest(stream);
        assert!(head.starts_with("HTTP/1.1 201") && body == b"done", "{head}");
    }
}

#[test]
fn who_ends_early_ends_the_other() {
    let (told, seen) = mpsc::channel();
    let upstream = Upstream::start(move |asked, line| match asked.target.as_str() {
        "/v2/cut" => {
            line.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/v2/cut-chunked" => {
            line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "/v2/endless" => {
            line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
            while line.say(&piece).is_ok() {}
            told.send("the client went").unwrap();
            Ok(())
        }
        "/v2/waits" => {
            let ended = line.from.read(&mut [0]);
            told.send("nobody waits").unwrap();
            ended.map(drop)
        }
        "/v2/upload" => {
            let came = line.body(asked, |_| {});
            told.send(if came.is_err() { "half of it came" } else { "all came" }).unwrap();
            came
        }
        "/v2/refused" => {
            line.answer("413 Too Large", "Connection: close\r\n", "no")?;
            // it goes on to take what comes, as one does that is polite
            line.to.shutdown(Shutdown::Write)?;
            line.body(asked, |_| {})
        }
        other => panic!("{other}"),
    });
    let (app, _store) = before(&upstream.url(), &[]);
    let next = || seen.recv_timeout(Duration::from_secs(20)).unwrap();

    let (head, body) = exchange(app.address, &get("/v2/cut", ""));
    assert!(head.to_lowercase().contains("content-length: 10") && body == b"abc", "{head}");
    let (_, body) = exchange(app.address, &get("/v2/cut-chunked", ""));
    assert!(body.windows(3).any(|three| three == b"abc") && !body.ends_with(b"0\r\n\r\n"));

    let mut stream = connect(app.address);
    stream.write_all(get("/v2/endless", "").as_bytes()).unwrap();
    stream.read_exact(&mut [0; 10_000]).unwrap();
    drop(stream);
    assert_eq!(next(), "the client went");

    let mut stream = connect(app.address);
    stream.write_all(get("/v2/waits", "").as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(100));
    drop(stream);
    assert_eq!(next(), "nobody waits");

    let mut stream = connect(app.address);
    stream.write_all(b"PUT /v2/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    thread::sleep(Duration::from_millis(100));
    drop(stream);
    assert_eq!(next(), "half of it came");

    let mut stream = connect(app.address);
    stream.write_all(b"PUT /v2/refused HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    let (head, body) = rest(stream);
    assert!(head.starts_with("HTTP/1.1 413") && head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(body, b"no");
    // no place is left taken
    let waited = Instant::now();
    while app.metrics()["crossbar_relayed_under_way"] > 0.0 {
        assert!(waited.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    assert!(app.metrics()["crossbar_relayed_broken_total"] >= 2.0);
}

/// How many bytes are carried each way: a gibibyte.
const MANY: u64 = 1 << 30;

#[test]
fn of_large_bodies_nothing_is_held() {
    const MOST: u64 = 24 << 20;
    let zeros = |to: &mut dyn Write, mut left: u64| -> io::Result<()> {
        let piece = vec![0; 256 * 1024];
        while left > 0 {
            let now = left.min(piece.len() as u64);
            to.write_all(&piece[..usize::try_from(now).unwrap()])?;
            left -= now;
        }
        Ok(())
    };
    let upstream = Upstream::start(move |asked, line| {
        if asked.method == "PUT" {
            let mut came = 0;
            line.body(asked, |piece| came += piece.len() as u64)?;
            return line.answer("200 OK", "", &came.to_string());
        }
        line.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MANY))?;
        zeros(&mut line.to, MANY)
    });
    let mut store = TestStore::new(Kind::Embedded);
    let served = store.served(&["--upstream", &upstream.url()]);
    // what it takes to have relayed anything
    exchange(served.address, "PUT /v2/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
    let before = served.peak();

    let mut stream = connect(served.address);
    let head = "Host: x\r\nConnection: close\r\n";
    write!(stream, "PUT /v2/accounts/a/media HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n", MANY).unwrap();
    zeros(&mut stream, MANY).unwrap();
    let (_, body) = rest(stream);
    assert_eq!(String::from_utf8(body).unwrap(), MANY.to_string());

    let mut stream = connect(served.address);
    stream.write_all(get("/v2/accounts/a/media", "").as_bytes()).unwrap();
    let mut piece = vec![0; 256 * 1024];
    let mut came = 0;
    loop {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            read => came += read as u64,
        }
    }
    assert!((MANY..MANY + 1_000).contains(&came), "{came}");
    if let (Some(before), Some(after)) = (before, served.peak()) {
        assert!(after - before < MOST, "{} KiB more", (after - before) / 1024);
    }
}

#[test]
fn groups_are_ours_and_sign_ins_are_whose_it_says() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntheirs");
    let (app, store) = before(&upstream.url(), &[]);
    let account = store.account();
    let group = app.create(&account, named("Front desk").unwrap()["data"].clone());
    for path in [
        "groups",
        &format!("groups/{group}"),
        &format!("groups/{group}/rings"),
        &format!("users/{}/groups", account.user),
    ] {
        assert_eq!(app.get(&account.path(path), &account.token).json()["status"], "success", "{path}");
    }
    assert_eq!(app.get("/", "").text().split(':').next(), Some("crossbar-groups"));
    assert!(upstream.asked().is_empty());
    let (credentials, realm) = store.credentials(&account);
    let data = serde_json::json!({"data": {"credentials": credentials, "account_realm": realm}});
    for path in ["/v2/user_auth", "/v2/api_auth"] {
        assert_eq!(app.send("PUT", path, "", Some(data.clone())).text(), "theirs");
    }
    drop(app);
    let arguments = ["--upstream", &upstream.url(), "--sign-in", "here"];
    let app = TestApp::start(store.store(), &arguments);
    let asked = upstream.asked().len();
    assert_eq!(app.sign_in(&credentials, &realm).0, 201);
    assert_eq!(app.send("PUT", "/v2/api_auth", "", Some(data)).status, 400);
    assert_eq!(upstream.asked().len(), asked);
    assert_eq!(app.get("/v2/schemas", "").text(), "theirs");
}

#[test]
fn a_preflight_is_answered_whatever_the_path() {
    let asks = [("Origin", "https://ui.example.com"), ("Access-Control-Request-Method", "PUT")];
    let preflight = |app: &TestApp, path: &str| client::send(app.address, "OPTIONS", path, &asks, None).unwrap();
    let paths = ["/v2/accounts/a/devices", "/v2/accounts/a/frobs", "/v2/devices/x", "/no/version", "/v2/%zz", "/x"];
    let app = TestApp::unlimited(TestStore::new(Kind::Embedded).store());
    for path in paths {
        let answer = preflight(&app, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert!(answer.header("access-control-allow-methods").unwrap().contains("PUT"), "{path}");
        // so that the page is told what the matter is
        let found = client::send(app.address, "PUT", path, &asks[..1], Some(b"{\"data\":{}}")).unwrap();
        assert!((400..500).contains(&found.status), "{path}: {}", found.status);
        assert_eq!(found.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nX-Theirs: 1\r\nContent-Length: 0\r\n\r\n");
    let (app, _store) = before(&upstream.url(), &[]);
    for path in paths {
        assert!(preflight(&app, path).header("x-theirs").is_some(), "{path}");
    }
    assert!(preflight(&app, "/v2/accounts/a/groups").header("x-theirs").is_none());
}

#[test]
fn an_upstream_that_is_away_is_said_to_be() {
    let (app, store) = before("http://127.0.0.1:1", &[]);
    let account = store.account();
    let started = Instant::now();
    let answer = app.get(&account.path("devices"), &account.token);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    let told = answer.json();
    assert_eq!((told["message"].as_str(), told["error"].as_str()), (Some("upstream_unreachable"), Some("503")));
    assert_eq!(told["request_id"].as_str(), answer.header("x-request-id"));
    // groups need none, and who watches is told
    assert_eq!(app.get(&account.path("groups"), &account.token).status, 200);
    let ready = client::send(app.admin_address, "GET", "/readyz", &[], None).unwrap();
    assert_eq!((ready.status, ready.json()["upstream"].as_str()), (200, Some("away")));
    let metrics = app.metrics();
    assert_eq!(metrics["crossbar_upstream_up"], 0.0);
    assert_eq!(metrics["crossbar_relayed_requests_total{by=\"here\",status=\"503\"}"], 1.0);
}

#[test]
fn an_upstream_that_hangs_is_waited_for_no_longer_than_it_may_take() {
    let slow =
        ["--upstream-connect", "1", "--upstream-answer", "0.5", "--upstream-idle", "0.5", "--body-time-out", "0.5"];
    let (_hanging, url) = hanging();
    let (app, _store) = before(&url, &slow);
    for method in ["GET", "PUT"] {
        let started = Instant::now();
        let answer = app.send(method, "/v2/accounts/a/devices", "t", (method == "PUT").then(|| named("x").unwrap()));
        assert!((400..3_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
        assert_eq!((answer.status, answer.json()["message"].as_str()), (504, Some("upstream_timeout")));
    }
    let upstream = Upstream::start(|_, line| {
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")?;
        // it keeps the connection until it is ended from the other side
        line.from.read(&mut [0]).map(drop)
    });
    let (app, _store) = before(&upstream.url(), &slow);
    let (head, body) = exchange(app.address, &get("/v2/x", ""));
    assert!(head.starts_with("HTTP/1.1 200") && body == b"abc", "{head}");
    // a client that sends nothing is not the upstream's fault
    let mut stream = connect(app.address);
    stream.write_all(b"PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    let (head, _) = rest(stream);
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.1 408"), "{head}");
}

#[test]
fn an_upstream_that_says_no_http_is_a_fault() {
    let upstream = Upstream::start(|asked, line| {
        line.body(asked, |_| {})?;
        if asked.target == "/v2/nonsense" {
            line.say("what?\r\n\r\n")?;
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let (app, _store) = before(&upstream.url(), &[]);
    for (method, path, times) in [("PUT", "/v2/nonsense", 1), ("PUT", "/v2/x", 1), ("GET", "/v2/x", 2)] {
        let before = upstream.asked().len();
        let answer = app.send(method, path, "t", (method == "PUT").then(|| named("x").unwrap()));
        assert_eq!((answer.status, answer.json()["message"].as_str()), (502, Some("upstream_fault")));
        assert_eq!(upstream.asked().len() - before, times, "only what reads is asked again");
    }
}

#[test]
fn slow_answers_take_no_place_of_groups() {
    let (_hanging, url) = hanging();
    let (app, store) = before(&url, &["--max-relayed", "2", "--max-requests", "1", "--upstream-answer", "20"]);
    let account = store.account();
    let mut waiting: Vec<TcpStream> = Vec::new();
    for number in 1..=2 {
        let mut stream = connect(app.address);
        stream.write_all(get("/v2/accounts/a/devices", "").as_bytes()).unwrap();
        waiting.push(stream);
        let begun = Instant::now();
        while app.metrics()["crossbar_relayed_under_way"] < f64::from(number) {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(5));
        }
    }
    let answer = app.get("/v2/accounts/a/devices", "t");
    assert_eq!((answer.status, answer.json()["message"].as_str()), (503, Some("overloaded")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(app.get(&account.path("groups"), &account.token).status, 200);
    assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"relayed\"}"], 1.0);
}

#[test]
fn who_dribbles_a_body_keeps_no_place_of_the_relay() {
    let upstream = Upstream::start(|asked, line| {
        line.body(asked, |_| {})?;
        line.answer("200 OK", "", "ok")
    });
    let (app, _store) = before(&upstream.url(), &["--max-relayed", "8", "--body-time-out", "1"]);
    let begun = Instant::now();
    let head = "PUT /v2/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n";
    let slow: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(app.address);
            stream.write_all(head.as_bytes()).unwrap();
            let mut dribbling = stream.try_clone().unwrap();
            // none of it stands still for long
            thread::spawn(move || {
                while dribbling.write_all(b"x").is_ok() && begun.elapsed() < Duration::from_secs(20) {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            stream
        })
        .collect();
    for stream in slow {
        let (head, body) = rest(stream);
        assert!(head.starts_with("HTTP/1.1 408"), "{head}");
        assert!(String::from_utf8(body).unwrap().contains("request_timeout"));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(app.metrics()["crossbar_relayed_under_way"], 0.0);
    assert_eq!(app.metrics()["crossbar_over_budget_total{budget=\"body_time\"}"], 4.0);
    assert_eq!(app.get("/v2/x", "t").text(), "ok");
}

#[test]
fn one_network_does_not_take_all_places_of_the_relay() {
    let (_hanging, url) = hanging();
    let more = ["--max-relayed", "4", "--upstream-answer", "20", "--trusted-proxy", "127.0.0.1"];
    let (app, _store) = before(&url, &more);
    let begin = |client: &str| {
        let mut stream = connect(app.address);
        stream.write_all(get("/v2/x", &format!("X-Forwarded-For: {client}\r\n")).as_bytes()).unwrap();
        stream
    };
    let under_way = |number: f64| {
        let begun = Instant::now();
        while app.metrics()["crossbar_relayed_under_way"] < number {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(5));
        }
    };
    let mut waiting = Vec::new();
    for number in 1..=3 {
        waiting.push(begin("192.0.2.1"));
        under_way(f64::from(number));
    }
    let (head, _) = rest(begin("192.0.2.1"));
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    waiting.push(begin("192.0.2.2"));
    under_way(4.0);
    // a client that goes gives its place back
    drop(waiting.remove(0));
    let begun = Instant::now();
    while app.metrics()["crossbar_relayed_under_way"] > 3.0 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn connections_are_kept_and_who_watches_knows() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (app, _store) = before(&upstream.url(), &[]);
    for _ in 0..50 {
        assert_eq!(app.get("/v2/x", "t").text(), "ok");
    }
    assert!(upstream.connections() <= 3, "{}", upstream.connections());
    let metrics = app.metrics();
    assert_eq!(metrics["crossbar_upstream_up"], 1.0);
    assert_eq!(metrics["crossbar_relayed_requests_total{by=\"upstream\",status=\"200\"}"], 50.0);
    assert_eq!(metrics["crossbar_relayed_answer_seconds_count{status=\"200\"}"], 50.0);
    assert_eq!(metrics["crossbar_requests_total{method=\"GET\",route=\"relayed\",status=\"200\"}"], 50.0);
    let ready = client::send(app.admin_address, "GET", "/readyz", &[], None).unwrap();
    assert_eq!(ready.json()["upstream"], "well");
}

#[test]
fn no_other_protocol_is_relayed() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let (app, _store) = before(&upstream.url(), &[]);
    let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n";
    let (head, body) = exchange(app.address, &get("/v2/websockets", websocket));
    assert!(head.starts_with("HTTP/1.1 501"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("not_implemented"));
    assert!(upstream.asked().is_empty());
    let (head, body) = exchange(app.address, &get("/v2/x", "Upgrade: h2c\r\n"));
    assert!(head.starts_with("HTTP/1.1 200") && body == b"ok", "{head}");
    assert!(!upstream.asked()[0].has("upgrade"));
}

#[test]
fn over_tls_an_upstream_is_believed_by_its_authority_alone() {
    let authority = Authority::new();
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let over_tls = TlsServer::before(&upstream.url(), &authority.issue("localhost"));
    let url = over_tls.url(&upstream.url());
    let file = authority.file();
    let (app, _store) = before(&url, &["--ca", file.to_str().unwrap()]);
    assert_eq!(app.get("/v2/x", "t").text(), "ok");
    let (app, _store) = before(&url, &[]);
    assert_eq!(app.get("/v2/x", "t").status, 503);
    assert_eq!(upstream.asked().len(), 1);
}

#[test]
fn the_environments_proxy_is_not_asked() {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let folder = TestStore::new(Kind::Embedded).close();
    let store = folder.path().to_str().unwrap().to_owned();
    let proxies = [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    let served = Served::start_with(&proxies, &["--store", &store, "--upstream", &upstream.url()]);
    let (head, body) = exchange(served.address, &get("/v2/x", ""));
    assert!(head.starts_with("HTTP/1.1 200") && body == b"ok", "{head}");
}

#[test]
fn what_is_no_upstream_is_refused_with_a_word() {
    use crate::common::program::refuses;
    for (url, why) in
        [("crossbar:8000", "http://"), ("http://a:b@crossbar:8000", "credentials"), ("http://crossbar:8000/v2", "path")]
    {
        refuses(&["serve", "--upstream", url], why);
    }
}
