//! `--shadow`: a share of the reads of groups is answered by both sides and compared, and nobody waits for that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::manual::{blocks, page};
use crate::common::program::{Served, run};
use crate::common::recording;
use crate::common::upstream::{Asked, Line, Upstream};
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, import, named, seed_files, until_let_go};
use crossbar_groups::kazoo::views;
use crossbar_groups::store::SharedServer;
use crossbar_groups::store::embedded::Embedded;

const COUNTER: &str = "crossbar_shadow_reads_total";

/// How many reads came to what: `equal`, `different body`, …
fn outcomes(app: &TestApp) -> BTreeMap<String, u64> {
    let of_shadow = |(name, number): (String, f64)| {
        let label = |of: &str| name.split_once(&format!("{of}=\""))?.1.split('"').next().map(str::to_owned);
        let outcome = format!("{} {}", label("outcome")?, label("detail")?).trim().to_owned();
        (name.starts_with(COUNTER) && number > 0.0).then_some((outcome, number as u64))
    };
    app.metrics().into_iter().filter_map(of_shadow).collect()
}

/// The same, once so many were counted.
fn counted(app: &TestApp, number: u64) -> BTreeMap<String, u64> {
    let begun = Instant::now();
    loop {
        let outcomes = outcomes(app);
        if outcomes.values().sum::<u64>() >= number {
            return outcomes;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{outcomes:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn only(outcome: &str, number: u64) -> BTreeMap<String, u64> {
    [(outcome.to_owned(), number)].into()
}

/// A crossbar that is one of ours on the same store, whose answers a test may change.
struct Crossbar {
    _app: TestApp,
    upstream: Upstream,
}

type Edit = fn(&mut Response);
type Change = Arc<Mutex<Option<Edit>>>;

impl Crossbar {
    fn on(store: &TestStore) -> (Self, Change) {
        let app = TestApp::unlimited(store.store());
        let (address, change) = (app.address, Change::default());
        let changed = Arc::clone(&change);
        let upstream = Upstream::start(move |asked, line| {
            if asked.header("accept").is_some_and(|accept| accept.contains("text/event-stream")) {
                return line.answer("406 Not Acceptable", "", "");
            }
            let mut answer = carried(address, asked, line)?;
            if let Some(change) = *changed.lock().unwrap() {
                change(&mut answer);
            }
            say(line, &answer)
        });
        (Self { _app: app, upstream }, change)
    }
}

fn carried(address: SocketAddr, asked: &Asked, line: &mut Line) -> io::Result<Response> {
    let body = line.text(asked)?;
    let headers: Vec<(&str, &str)> = asked
        .headers
        .iter()
        .filter(|(name, _)| name != "content-length" && name != "host")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    client::send(address, &asked.method, &asked.target, &headers, (!body.is_empty()).then_some(body.as_bytes()))
}

fn say(line: &mut Line, answer: &Response) -> io::Result<()> {
    let kept = |name: &str| !["content-length", "connection", "transfer-encoding"].contains(&name);
    let headers = answer.headers.iter().filter(|(name, _)| kept(name));
    let headers: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    line.answer(&format!("{} X", answer.status), &headers, &answer.text())
}

fn edit(answer: &mut Response, with: impl FnOnce(&mut Value)) {
    let mut body = answer.json();
    with(&mut body);
    answer.body = body.to_string().into_bytes();
}

fn shadowing(store: &TestStore, upstream: &str, arguments: &[&str]) -> TestApp {
    let fixed = ["--rate-limit", "off", "--upstream", upstream];
    TestApp::start(store.store(), &[&fixed, arguments].concat())
}

fn create(crossbar: &Crossbar, account: &TestAccount, name: &str) -> String {
    let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
    let body = named(name).unwrap().to_string();
    let path = account.path("groups");
    let answer = client::send(crossbar.upstream.address, "PUT", &path, &headers, Some(body.as_bytes())).unwrap();
    answer.json()["data"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn reads_are_answered_by_the_upstream_and_compared_and_writes_go_there_alone() {
    for kind in Kind::all() {
        let store = TestStore::new(kind);
        let account = store.account();
        let (crossbar, _) = Crossbar::on(&store);
        let app = shadowing(&store, &crossbar.upstream.url(), &["--shadow", "1"]);
        let group = app.create(&account, named("Front desk").unwrap()["data"].clone());
        let path = account.path(&format!("groups/{group}"));
        let data = json!({"data": {"name": "Back office", "endpoints": {}}});
        assert_eq!(app.send("POST", &path, &account.token, Some(data)).status, 200);
        assert_eq!(app.send("PATCH", &path, &account.token, Some(json!({"data": {"flags": ["x"]}}))).status, 200);
        let asked: Vec<String> = crossbar.upstream.asked().iter().map(|asked| asked.method.clone()).collect();
        assert_eq!(asked, ["PUT", "POST", "PATCH"]);
        assert!(outcomes(&app).is_empty(), "writes are not compared");
        for path in [&path, &account.path("groups"), &account.path(&format!("users/{}/groups", account.user))] {
            assert_eq!(app.get(path, &account.token).status, 200);
        }
        assert_eq!(app.get(&account.path("groups/none"), &account.token).status, 404);
        assert_eq!(app.get(&account.path("groups"), "no token").status, 401);
        assert_eq!(counted(&app, 5), only("equal", 5));
        assert_eq!(crossbar.upstream.asked().len(), 3 + 5);
        // what Kazoo has none of is ours all the same
        assert_eq!(app.get(&account.path(&format!("groups/{group}/rings")), &account.token).status, 200);
        assert_eq!(app.send("DELETE", &path, &account.token, None).status, 200);
        assert_eq!(crossbar.upstream.asked().len(), 3 + 5 + 1);
    }
}

#[test]
fn a_planted_difference_of_each_kind_is_found() {
    let mut store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let (crossbar, change) = Crossbar::on(&store);
    let group = create(&crossbar, &account, "Front desk");
    let (one, list) = (account.path(&format!("groups/{group}")), account.path("groups"));
    let plants: [(&str, &str, Edit); 9] = [
        (&one, "different status", |answer| answer.status = 404),
        (&one, "different header", |answer| answer.headers.push(("content-disposition".into(), "x".into()))),
        (&one, "different header", |answer| answer.headers.retain(|(name, _)| name != "etag")),
        (&one, "different body", |answer| edit(answer, |body| body["data"]["name"] = "Another".into())),
        (&one, "different body", |answer| edit(answer, |body| body["data"]["more"] = 1.into())),
        (&one, "different body", |answer| {
            edit(answer, |body| drop(body.as_object_mut().unwrap().remove("auth_token")))
        }),
        (&list, "different body", |answer| edit(answer, |body| body["data"] = json!([]))),
        (&list, "equal", |answer| {
            edit(answer, |body| {
                for volatile in ["auth_token", "node", "request_id", "timestamp", "version", "revision"] {
                    body[volatile] = "another".into();
                }
            });
        }),
        (&list, "equal", |answer| answer.headers.push(("server".into(), "Cowboy".into()))),
    ];
    let app = shadowing(&store, &crossbar.upstream.url(), &["--shadow", "1"]);
    let mut before = outcomes(&app);
    for (number, (path, outcome, planted)) in plants.into_iter().enumerate() {
        *change.lock().unwrap() = Some(planted);
        app.get(path, &account.token);
        let after = counted(&app, number as u64 + 1);
        *before.entry(outcome.to_owned()).or_default() += 1;
        assert_eq!(after, before, "plant {number}");
    }
    drop(app);

    // the log says where, what only when it is asked to, and never a token
    *change.lock().unwrap() = Some(|answer| {
        edit(answer, |body| {
            body["data"]["name"] = "Another".into();
            body["auth_token"] = "theirs".into();
        });
    });
    let upstream = crossbar.upstream.url();
    let mut said = Vec::new();
    let (kept, address) = (account, crossbar.upstream.address);
    let folder = {
        // another process opens the store: who answers as crossbar here has to keep what it said
        let headers = [("X-Auth-Token", kept.token.as_str())];
        let answer = client::send(address, "GET", &one, &headers, None).unwrap();
        drop((crossbar, change));
        let upstream = Upstream::start(move |asked, line| {
            line.body(asked, |_| {})?;
            say(line, &answer)
        });
        for more in [&[][..], &["--shadow-values"]] {
            let served = store.served(&[&["--upstream", &upstream.url(), "--shadow", "1"], more].concat());
            assert_eq!(client::send(served.address, "GET", &one, &headers, None).unwrap().status, 200);
            said.push(served.logged("shadow: differs").pop().unwrap());
            if more.is_empty() {
                said_by_report(&served);
            }
        }
        upstream
    };
    drop((folder, upstream));
    assert!(said[0].contains("/data/name") && !said[0].contains("Another") && !said[0].contains("Front"), "{said:?}");
    assert!(said[1].contains("Another") && said[1].contains("Front desk"), "{said:?}");
    assert!(said.iter().all(|line| !line.contains("theirs") && !line.contains(&kept.token)), "{said:?}");
}

/// `shadow report` says the same of a running service.
fn said_by_report(served: &Served) {
    let url = format!("http://{}", served.address);
    let report = run(&["shadow", "report", "--url", &url]);
    let text = String::from_utf8(report.stdout).unwrap();
    assert_eq!(report.status.code(), Some(1), "{text}");
    assert!(text.starts_with("1 reads compared: 0 equal, 0 explained, 1 different\n"), "{text}");
    let report = run(&["shadow", "report", "--json", "--url", &url]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["different"], json!([{"of": "body", "number": 1}]));
}

#[test]
fn what_changed_in_between_is_no_difference() {
    let store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let (crossbar, change) = Crossbar::on(&store);
    create(&crossbar, &account, "Front desk");
    let app = shadowing(&store, &crossbar.upstream.url(), &["--shadow", "1"]);
    static FIRST: Mutex<bool> = Mutex::new(true);
    *change.lock().unwrap() = Some(|answer| {
        if std::mem::take(&mut *FIRST.lock().unwrap()) {
            edit(answer, |body| body["data"] = json!([]));
        }
    });
    app.get(&account.path("groups"), &account.token);
    assert_eq!(counted(&app, 1), only("passing", 1));
}

#[test]
fn with_our_answers_served_the_upstream_is_asked_beside() {
    let store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let (crossbar, change) = Crossbar::on(&store);
    let app = shadowing(&store, &crossbar.upstream.url(), &["--shadow", "1", "--shadow-serve", "here"]);
    let group = app.create(&account, named("Front desk").unwrap()["data"].clone());
    assert!(crossbar.upstream.asked().is_empty(), "writes are ours");
    let path = account.path(&format!("groups/{group}"));
    assert_eq!(app.get(&path, &account.token).json()["data"]["name"], "Front desk");
    assert_eq!(counted(&app, 1), only("equal", 1));
    *change.lock().unwrap() = Some(|answer| answer.status = 500);
    assert_eq!(app.get(&path, &account.token).json()["data"]["name"], "Front desk");
    assert_eq!(counted(&app, 2)["different status"], 1);
}

#[test]
fn the_client_never_waits_for_it() {
    let store = TestStore::new(Kind::Embedded);
    let account = store.account();
    // the upstream is slow, and then away: clients have our answers at once
    let upstream = Upstream::start(|asked, line| {
        line.body(asked, |_| {})?;
        thread::sleep(Duration::from_secs(2));
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let here = ["--shadow", "1", "--shadow-serve", "here", "--shadow-at-once", "2"];
    let app = shadowing(&store, &upstream.url(), &here);
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(app.get(&account.path("groups"), &account.token).status, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let all = counted(&app, 10);
    assert_eq!((all["skipped busy"], all["skipped unanswered"]), (8, 2));
}

#[test]
fn nobody_pays_for_what_is_compared() {
    let store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let (crossbar, _) = Crossbar::on(&store);
    let here =
        ["--upstream", &crossbar.upstream.url(), "--shadow", "1", "--shadow-serve", "here", "--rate-limit", "kazoo"];
    let app = TestApp::start(store.store(), &here);
    for _ in 0..90 {
        assert_eq!(app.get(&account.path("groups"), &account.token).status, 200);
    }
    let all = counted(&app, 90);
    assert!(all.keys().all(|outcome| outcome == "equal" || outcome == "skipped busy"), "{all:?}");
}

#[test]
fn what_is_not_compared_is_counted() {
    let store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let (crossbar, change) = Crossbar::on(&store);
    create(&crossbar, &account, &"x".repeat(120));
    let app = shadowing(&store, &crossbar.upstream.url(), &["--shadow", "1", "--shadow-max-answer", "700"]);
    let (path, token) = (account.path("groups"), account.token.as_str());
    let get = |headers: &[(&str, &str)], body: Option<&[u8]>| {
        let headers = [&[("X-Auth-Token", token)], headers].concat();
        client::send(app.address, "GET", &path, &headers, body).unwrap()
    };
    assert_eq!(get(&[], None).status, 200);
    counted(&app, 1);
    assert_eq!(get(&[("Content-Type", "application/json")], Some(b"{\"data\":{}}")).status, 200);
    counted(&app, 2);
    assert_eq!(get(&[("Accept", "text/event-stream")], None).status, 406);
    counted(&app, 3);
    // it is signed in with each request, which is not to be done twice
    let basic = [("Authorization", "Basic YTpi")];
    assert_eq!(client::send(app.address, "GET", &path, &basic, None).unwrap().status, 401);
    counted(&app, 4);
    *change.lock().unwrap() = Some(|answer| {
        answer.headers.push(("content-encoding".into(), "br".into()));
        answer.body = b"x".to_vec();
    });
    get(&[], None);
    let all = counted(&app, 5);
    for why in ["large", "has_body", "coded", "endless", "signs_in"] {
        assert_eq!(all.get(&format!("skipped {why}")), Some(&1), "{all:?}");
    }
    drop((app, crossbar));
    let app = shadowing(&store, "http://127.0.0.1:1", &["--shadow", "1"]);
    assert_eq!(app.get(&path, token).status, 503);
    assert_eq!(counted(&app, 1), only("skipped unanswered", 1));
    drop(app);
    let app = shadowing(&store, "http://127.0.0.1:1", &["--shadow", "0", "--shadow-serve", "here"]);
    assert_eq!(app.get(&path, token).status, 200);
    assert!(outcomes(&app).is_empty());
}

/// An upstream that answers what it is told to.
fn parrot() -> (Upstream, Arc<Mutex<Option<Response>>>) {
    let next = Arc::new(Mutex::new(None::<Response>));
    let told = Arc::clone(&next);
    let upstream = Upstream::start(move |asked, line| {
        line.body(asked, |_| {})?;
        say(line, told.lock().unwrap().as_ref().unwrap())
    });
    (upstream, next)
}

#[test]
fn all_that_was_recorded_differs_only_as_it_is_written_down() {
    let template = tempfile::tempdir().unwrap();
    block_on(import(&Embedded::open(template.path(), views::ALL).unwrap(), seed_files()));
    let copies = tempfile::tempdir().unwrap();
    let open = |name: &str| -> SharedServer {
        let folder = copies.path().join(name);
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(template.path()).unwrap() {
            let entry: fs::DirEntry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        Arc::new(Embedded::open(Path::new(&folder), views::ALL).unwrap())
    };
    let (upstream, next) = parrot();
    let start = |store: SharedServer| {
        let plain = TestApp::unlimited(Arc::clone(&store));
        let fixed = ["--rate-limit", "off", "--upstream", &upstream.url(), "--shadow", "1"];
        (plain, TestApp::start(store, &fixed))
    };
    let variables = recording::variables();
    let (mut found, mut all): (Vec<String>, BTreeMap<String, u64>) = Default::default();
    let mut play = |scenario: &recording::Scenario, plain: &TestApp, shadowing: &TestApp| {
        scenario.retell(plain.address, &variables, |sent, recorded, came| {
            let recorded = recorded.or_else(|| kazoos(&scenario.name, came));
            let Some(recorded) = recorded.filter(|_| sent.method == "GET" && sent.path.contains("/groups")) else {
                return;
            };
            *next.lock().unwrap() = Some(recorded);
            let before = outcomes(shadowing);
            let total: u64 = before.values().sum();
            let asked = upstream.asked().len();
            sent.to(shadowing.address).unwrap();
            // a path that ends with no group is the upstream's alone
            if upstream.asked().len() == asked || !is_of_groups(&sent.path) {
                return;
            }
            let after = counted(shadowing, total + 1);
            let outcome = after.iter().find(|(outcome, number)| before.get(*outcome) != Some(number)).unwrap().0;
            *all.entry(outcome.clone()).or_default() += 1;
            if outcome.starts_with("different") {
                found.push(format!("{}: {outcome}: {}", scenario.name, sent.path));
            }
        });
    };
    let (reading, writing): (Vec<_>, Vec<_>) =
        recording::scenarios().into_iter().partition(|scenario| scenario.only_reads());
    let (plain, shadowing) = start(open("reading"));
    reading.iter().for_each(|scenario| play(scenario, &plain, &shadowing));
    for (number, scenario) in writing.iter().filter(|scenario| scenario.reads()).enumerate() {
        let (plain, shadowing) = start(open(&number.to_string()));
        play(scenario, &plain, &shadowing);
    }
    assert!(all["equal"] > 200, "{all:?}");
    for rule in ["clients_mistakes", "private_ids", "next_page", "list_etag"] {
        assert!(all.contains_key(&format!("explained {rule}")), "{rule}: {all:?}");
    }
    assert!(found.is_empty(), "{all:?}:\n{}", found.join("\n"));
}

/// Whether a path ends with groups, or one of them.
fn is_of_groups(path: &str) -> bool {
    let path = path.split('?').next().unwrap().trim_end_matches('/');
    let after = path.rsplit_once("/groups").map(|(_, after)| after);
    after.is_some_and(|after| after.matches('/').count() <= 1) && !path.contains("/schemas/") && !path.contains("//")
}

/// What Kazoo answers where the recording says only in words that it is wrong; None where it does not say.
fn kazoos(scenario: &str, ours: Response) -> Option<Response> {
    let mut answer = ours;
    match scenario {
        "more/no-value/accept" | "path/query-bad-percent" | "path/dotdot" => answer.status = 500,
        name if name.starts_with("list/page-size-bad") => answer.status = 500,
        "read/all-docs" | "read/design-doc" => answer.status = 200,
        "by-user/page-size" => edit(&mut answer, |body| {
            if let Some(next) = body.get_mut("next_start_key") {
                *next = "g20AAAAA".into();
            }
        }),
        // its ETag is another each time, so that nothing is as it was
        "etag/list" => answer.status = 200,
        _ => return None,
    }
    Some(answer)
}

#[test]
fn the_page_on_moving_is_followed_word_by_word() {
    let page = page("docs/moving-from-kazoo.md");
    let variables = recording::variables();
    let (path, token) = (format!("/v2/accounts/{}/groups", variables["C"]), &variables["TC"]);
    // what crossbar says, since other processes have the store from now on
    let folder = tempfile::tempdir().unwrap();
    let answer = {
        let store: SharedServer = Arc::new(Embedded::open(folder.path(), views::ALL).unwrap());
        block_on(import(store.as_ref(), seed_files()));
        TestApp::unlimited(store).get(&path, token)
    };
    until_let_go(folder.path());
    let crossbar = Upstream::start(move |asked, line| {
        line.body(asked, |_| {})?;
        say(line, &answer)
    });
    let (mut served, mut followed): (Option<Served>, Vec<String>) = Default::default();
    for command in blocks(&page, "sh").into_iter().flat_map(str::lines) {
        let mut words: Vec<String> = command.split_whitespace().skip(1).map(str::to_owned).collect();
        followed.push(words[..2].join(" "));
        for word in &mut words {
            *word = match word.as_str() {
                "http://admin:password@couchdb.example.com:5984" => folder.path().display().to_string(),
                "http://crossbar.example.com:8000" => crossbar.url(),
                "http://127.0.0.1:8000" => format!("http://{}", served.as_ref().unwrap().address),
                other => other.replace("0.1", "1"),
            };
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words[0] != "serve" {
            let output = run(&words);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
            continue;
        }
        // it has the store to itself, and a port of its own
        drop(served.take());
        let listens = ["--listen", "0.0.0.0:8000"];
        assert_eq!(words[1..3], listens, "{command}");
        let now = Served::start(&words[3..]);
        let before = crossbar.asked().len();
        let headers = [("X-Auth-Token", token.as_str())];
        assert_eq!(client::send(now.address, "GET", &path, &headers, None).unwrap().status, 200);
        assert_eq!(crossbar.asked().len() > before, command.contains("--shadow"), "{command}");
        if command.contains("--shadow 0.1") {
            // until it has compared
            let begun = Instant::now();
            let url = format!("http://{}", now.address);
            while !run(&["shadow", "report", "--url", &url]).status.success() {
                assert!(begun.elapsed() < Duration::from_secs(20));
                thread::sleep(Duration::from_millis(100));
            }
        }
        served = Some(now);
    }
    let steps = [
        "doctor --store",
        "views check",
        "serve --listen",
        "serve --listen",
        "shadow report",
        "serve --listen",
        "serve --listen",
    ];
    assert_eq!(followed, steps);
}
