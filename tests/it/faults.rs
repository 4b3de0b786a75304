//! Whatever is wrong with a CouchDB's node: with another that is well, clients are served; of one alone they are told so
//! in time; nothing is lost, and no write is made twice.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::faulty::{Fault, Faulty, Of, trap};
use crate::common::program::program;
use crate::common::{Kind, TestAccount, TestApp, TestStore, client, couchdb_url, named, new_id};
use crossbar_groups::store::couch::{Couch, CouchOptions, Times};

/// As the program has them, but shorter; the last node is waited for longer, since a busy machine is no fault.
const TIMES: Times = Times {
    connect: Duration::from_secs(3),
    document: Duration::from_secs(20),
    document_of_several: Duration::from_millis(1500),
    view: Duration::from_secs(20),
    patience: Duration::from_millis(200),
    greeting: Duration::from_millis(800),
    lost_write: Duration::from_secs(2),
};

/// The same where the last node is not waited for so long.
const IMPATIENT: Times = Times { document: Duration::from_millis(1500), ..TIMES };

fn options(times: Times) -> CouchOptions {
    CouchOptions { longest_answer: 1024 * 1024, times, ..CouchOptions::default() }
}

/// Everything that can be wrong with a node whatever it is asked.
fn faults() -> Vec<(Of, Fault)> {
    let (nowhere, _) = trap();
    let everywhere = [
        Fault::HangsUp,
        Fault::Hangs,
        Fault::HangsInBody,
        Fault::CutsBody,
        Fault::Says(400),
        Fault::Says(401),
        Fault::Says(403),
        Fault::Says(404),
        Fault::Says(409),
        Fault::Says(429),
        Fault::Says(500),
        Fault::Says(503),
        Fault::Page(200),
        Fault::Page(404),
        Fault::Page(409),
        Fault::Page(502),
        Fault::Tells("{}"),
        Fault::Tells("[]"),
        Fault::Tells("[[]]"),
        Fault::Tells("null"),
        Fault::Tells(""),
        Fault::Tells(r#"{"_id":"cut","rows":[{"id":"#),
        Fault::Redirects(301, nowhere),
        Fault::Redirects(307, nowhere),
        Fault::GzipBomb,
        Fault::Endless,
        Fault::Slow(Duration::from_secs(9)),
    ];
    let but_greeting = [
        Fault::HangsUp,
        Fault::Hangs,
        Fault::Says(401),
        Fault::Says(403),
        Fault::Says(429),
        Fault::Says(500),
        Fault::Page(404),
        Fault::Tells("{}"),
        Fault::Tells("[[]]"),
        Fault::Endless,
    ];
    let all = everywhere.map(|fault| (Of::All, fault));
    all.into_iter().chain(but_greeting.map(|fault| (Of::AllButGreeting, fault))).collect()
}

/// Runs a test for each fault, some at the same time, since most of it is waiting; all of one account. The test names
/// what it makes by the text that it is given, and gives which of it must be there in the end, and which may.
fn with_each_fault(test: impl Fn(&str, &TestAccount, Of, Fault, &str) -> [Vec<String>; 2] + Sync) {
    let Some(url) = couchdb_url() else { return };
    let store = TestStore::new(Kind::Couch(url.clone()));
    let account = store.account();
    let left = Mutex::new(faults());
    let made = Mutex::new([Vec::new(), Vec::new()]);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let next = || left.lock().unwrap().pop();
                while let Some((of, fault)) = next() {
                    let text = format!("{of:?} {fault:?}");
                    let [must, may] = test(&url, &account, of, fault, &text);
                    let mut made = made.lock().unwrap();
                    made[0].extend(must);
                    made[1].extend(may);
                }
            });
        }
    });
    let [mut must, may] = made.into_inner().unwrap();
    let mut there = names(&TestApp::unlimited(store.store()), &account);
    for name in may {
        if let Some(place) = there.iter().position(|of| *of == name) {
            there.remove(place);
        }
    }
    must.sort_unstable();
    assert_eq!(there, must);
}

fn ready(app: &TestApp) -> u16 {
    client::send(app.address, "GET", "/readyz", &[], None).unwrap().status
}

/// The names of an account's groups.
fn names(app: &TestApp, account: &TestAccount) -> Vec<String> {
    let listed = app.get(&account.path("groups?paginate=false"), &account.token);
    assert_eq!(listed.status, 200, "{}", listed.text());
    let names = |row: &Value| row["name"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = listed.json()["data"].as_array().unwrap().iter().map(names).collect();
    names.sort_unstable();
    names
}

fn is_well(app: &TestApp, node: &Faulty) -> f64 {
    app.metrics()[&format!("crossbar_couchdb_node_well{{node=\"{}\"}}", node.address)]
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whatever_is_wrong_with_a_node_the_next_serves() {
    with_each_fault(|url, account, of, fault, text| {
        let (first, second) = (Faulty::before(url), Faulty::before(url));
        let app = TestApp::asking(&[first.url(url), second.url(url)], &options(TIMES));
        let (groups, token) = (account.path("groups"), &account.token);
        let served = |method: &str, path: &str, body: Option<Value>, status: u16| {
            let answer = app.send(method, path, token, body);
            assert_eq!(answer.status, status, "{text}, {method}: {}", answer.text());
            answer.json()
        };
        // it is so from the start, and it comes to be so in the midst of requests
        let made = ["from the start", "in the midst"].map(|when| format!("{text} {when}"));
        for name in &made {
            first.is(of, fault.clone());
            let group = served("PUT", &groups, named(name), 201);
            let group = format!("{groups}/{}", group["data"]["id"].as_str().unwrap());
            served("GET", &group, None, 200);
            let changed = served("PATCH", &group, Some(json!({"data": {"flags": ["changed"]}})), 200);
            assert!(changed["revision"].as_str().unwrap().starts_with("2-"), "{text}: {changed}");
            served("GET", &groups, None, 200);
            served("GET", &account.path(&format!("groups/{}", new_id::<String>())), None, 404);
            until("it is not ready", || ready(&app) == 200);
            first.is_well();
        }
        [made.to_vec(), Vec::new()]
    });
}

#[test]
fn of_a_faulty_node_alone_clients_are_told_so_in_time_and_nothing_is_lost() {
    // short: nobody else is asked, and nothing is to succeed in time
    let short = Duration::from_millis(800);
    let times = Times { document: short, view: short, greeting: short, lost_write: short, ..TIMES };
    with_each_fault(|url, account, of, fault, text| {
        let node = Faulty::before(url);
        let store = Couch::new(&[node.url(url)], &options(times)).unwrap();
        let app = TestApp::start(Arc::new(store), &["--rate-limit", "off", "--auth-cache", "0.5"]);
        let (groups, token) = (account.path("groups"), &account.token);
        let group = account.path(&format!("groups/{}", new_id::<String>()));
        let is_served = || ready(&app) == 200 && app.get(&group, token).status == 404;
        until("it is not ready", is_served);
        node.is(of, fault.clone());
        let refused = |method: &str, path: &str, body: Option<Value>| {
            let asked = Instant::now();
            let answer = app.send(method, path, token, body);
            assert_eq!(answer.status, 503, "{text}, {method}: {}", answer.text());
            assert!(asked.elapsed() < Duration::from_secs(10), "{text}: {:?}", asked.elapsed());
        };
        // first with what is remembered of who asks, then without
        let refused_name = format!("{text} refused");
        refused("PUT", &groups, named(&refused_name));
        refused("GET", &group, None);
        thread::sleep(Duration::from_millis(500));
        refused("GET", &group, None);
        // a proof is remembered for a moment
        until("it is still ready", || ready(&app) == 503);
        node.is_well();
        until("it is not ready again", is_served);
        // one that takes what it is told, but too late, may have made it: once
        [Vec::new(), vec![refused_name]]
    });
}

#[test]
fn a_node_that_refuses_connections_is_left_for_the_next() {
    let Some(url) = couchdb_url() else { return };
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    let app = TestApp::asking(&[crate::common::NO_COUCHDB, url.as_str()], &options(TIMES));
    app.create(&account, json!({"name": "made", "endpoints": {}}));
    assert_eq!(names(&app, &account), ["made"]);
    until("it is still well", || app.metrics()["crossbar_couchdb_node_well{node=\"127.0.0.1:1\"}"] == 0.0);
}

#[test]
fn a_lost_answer_to_a_write_makes_it_once() {
    let Some(url) = couchdb_url() else { return };
    let (late, away) = (Duration::from_millis(2000), Duration::from_millis(700));
    let faults = [
        Fault::LosesAnswer,
        Fault::LosesAnswerAndGoes(away),
        Fault::CutsBody,
        Fault::Hangs,
        Fault::Slow(late),
        Fault::Page(504),
    ];
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    let (url, account) = (&url, &account);
    thread::scope(|scope| {
        for (nodes, fault) in [1, 2].into_iter().flat_map(|nodes| faults.iter().map(move |fault| (nodes, fault))) {
            scope.spawn(move || {
                let faulty: Vec<Faulty> = (0..nodes).map(|_| Faulty::before(url)).collect();
                let urls: Vec<String> = faulty.iter().map(|node| node.url(url)).collect();
                let app = TestApp::asking(&urls, &options(if nodes == 1 { IMPATIENT } else { TIMES }));
                let (groups, token, name) = (account.path("groups"), &account.token, format!("{nodes} {fault:?}"));
                faulty[0].is(Of::Puts, fault.clone());
                let made = app.send("PUT", &groups, token, named(&name));
                let is_done = matches!(fault, Fault::LosesAnswer | Fault::LosesAnswerAndGoes(_) | Fault::Slow(_));
                let want = if nodes == 2 || is_done { 201 } else { 503 };
                assert_eq!(made.status, want, "{name}: {}", made.text());
                // what is sent late must not count twice
                thread::sleep(late);
                faulty[0].is_well();
                let there = names(&app, account).into_iter().filter(|of| *of == name).count();
                assert_eq!(there, if want == 201 { 1 } else { 0 }, "{name}");
                if want == 201 {
                    let group = format!("{groups}/{}", made.json()["data"]["id"].as_str().unwrap());
                    assert_eq!(app.get(&group, token).json()["revision"], made.json()["revision"], "{name}");
                }
            });
        }
    });
}

#[test]
fn nobody_is_asked_but_the_nodes() {
    let Some(url) = couchdb_url() else { return };
    let (elsewhere, asked) = trap();
    for status in [301, 302, 303, 307, 308] {
        let node = Faulty::before(&url);
        let app = TestApp::asking(&[node.url(&url)], &options(TIMES));
        let account = TestStore::new(Kind::Couch(url.clone())).account();
        node.is(Of::All, Fault::Redirects(status, elsewhere));
        let groups = account.path("groups");
        assert_eq!(app.get(&groups, &account.token).status, 503, "{status}");
        assert_eq!(app.send("PUT", &groups, &account.token, named("sent elsewhere")).status, 503, "{status}");
    }
    let proxy = format!("http://{elsewhere}");
    let mut doctor = program();
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
        doctor.env(variable, &proxy);
    }
    let told = doctor.args(["views", "check", "--json", "--account", &new_id::<String>(), "--store", &url]).output();
    assert!(!String::from_utf8(told.unwrap().stderr).unwrap().contains("refused"));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_hanging_node_has_no_more_connections_than_it_may() {
    let Some(url) = couchdb_url() else { return };
    let node = Faulty::before(&url);
    let connections = NonZeroUsize::new(8).unwrap();
    let app = TestApp::asking(&[node.url(&url)], &CouchOptions { connections, ..options(IMPATIENT) });
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    let group = format!("{}/{}", account.path("groups"), app.create(&account, json!({"name": "a", "endpoints": {}})));
    node.is(Of::All, Fault::Hangs);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let answer = app.get(&group, &account.token);
                assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{}", answer.text());
            });
        }
    });
    // for each its time to wait and its time to be answered, twice: what was remembered, and then the group
    assert!(begun.elapsed() < IMPATIENT.document * 4 + Duration::from_secs(2), "{:?}", begun.elapsed());
    // a greeting beside them; and the node learns of those that were given up when others are there already
    assert!(node.most_connections() <= 2 * (8 + 1), "{}", node.most_connections());
    let counted = |of: &str| app.metrics()[&format!("crossbar_couchdb_requests_{of}{{node=\"{}\"}}", node.address)];
    assert!(counted("refused_total") > 10.0, "{}", counted("refused_total"));
    until("requests are still under way", || counted("under_way") == 0.0);
    node.is_well();
    until("it is not ready again", || ready(&app) == 200);
    assert_eq!(app.get(&group, &account.token).status, 200);
}

#[test]
fn a_slow_view_costs_neither_its_node_nor_other_requests() {
    let Some(url) = couchdb_url() else { return };
    let (first, second) = (Faulty::before(&url), Faulty::before(&url));
    let connections = NonZeroUsize::new(4).unwrap();
    let options = CouchOptions { connections, ..options(TIMES) };
    let app = TestApp::asking(&[first.url(&url), second.url(&url)], &options);
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    let groups = account.path("groups");
    let group = format!("{groups}/{}", app.create(&account, json!({"name": "a", "endpoints": {}})));
    first.is(Of::Views, Fault::Slow(TIMES.document_of_several + Duration::from_millis(500)));
    thread::scope(|scope| {
        let lists: Vec<_> = (0..4).map(|_| scope.spawn(|| app.get(&groups, &account.token).status)).collect();
        thread::sleep(Duration::from_millis(300));
        for _ in 0..5 {
            let begun = Instant::now();
            assert_eq!(app.get(&group, &account.token).status, 200);
            assert!(begun.elapsed() < TIMES.document_of_several, "{:?}", begun.elapsed());
        }
        assert!(lists.iter().all(|list| !list.is_finished()));
        lists.into_iter().for_each(|list| assert_eq!(list.join().unwrap(), 200));
    });
    assert_eq!(is_well(&app, &first), 1.0);

    // one that fails is asked of the next
    first.is(Of::Views, Fault::Says(500));
    for _ in 0..5 {
        assert_eq!(names(&app, &account), ["a"]);
    }
    assert_eq!(is_well(&app, &first), 1.0);
}

#[test]
fn a_client_that_hangs_up_does_not_count_against_a_node_that_greets() {
    let Some(url) = couchdb_url() else { return };
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    for (of, well) in [(Of::Views, 1.0), (Of::All, 0.0)] {
        let (first, second) = (Faulty::before(&url), Faulty::before(&url));
        let app = TestApp::asking(&[first.url(&url), second.url(&url)], &options(TIMES));
        assert!(names(&app, &account).is_empty());
        first.is(of, Fault::Slow(Duration::from_secs(3)));
        for _ in 0..4 {
            client::give_up(app.address, "GET", &account.path("groups"), &account.token, "", TIMES.patience / 2);
        }
        // a node that is silent to all is found out, though nobody waited for it for long
        until("the node is not judged", || is_well(&app, &first) == well);
        thread::sleep(TIMES.greeting);
        assert_eq!(is_well(&app, &first), well, "{of:?}");
    }
}
