//! `Accept: text/event-stream`: what a list shows, and what happens to it, on every store.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::common::listener::{Event, Known, Listener, rows};
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, client, couchdb_url, database_url, put};
use crossbar_groups::auth::Auth;
use crossbar_groups::metrics::Metrics;
use crossbar_groups::world::World;

const GROUPS: usize = 12;

fn group(name: &str, users: &[&str]) -> Value {
    let endpoints: serde_json::Map<_, _> =
        users.iter().map(|user| ((*user).to_owned(), json!({"type": "user"}))).collect();
    json!({"name": name, "endpoints": endpoints})
}

fn send(app: &TestApp, account: &TestAccount, method: &str, id: &str, data: Value) -> Value {
    let path = account.path(&format!("groups/{id}"));
    let answer = app.send(method, &path, &account.token, Some(json!({ "data": data })));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn first_comes_the_list_and_then_what_happens_to_it() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::unlimited(test.store());
        app.create(&account, group("one", &[]));
        app.create(&account, group("two", &[]));
        let path = account.path("groups");
        let mut listener = Listener::start(app.address, &path, &account.token, None);
        let events = listener.until("live");
        assert_eq!(names(&events), ["listed", "listed", "live"]);
        assert_eq!(events[2].data, json!({"rows": 2}));
        let list = app.get(&account.path("groups?paginate=false"), &account.token).json();
        let listed: Vec<Value> = events[..2].iter().map(|event| event.data["row"].clone()).collect();
        assert_eq!(list["data"], json!(listed));
        // who is cut off before all of it was told has no place to go on from
        let has_id: Vec<bool> = events.iter().map(|event| event.id.is_some()).collect();
        assert_eq!(has_id, [false, false, true]);

        let three = app.create(&account, group("three", &[]));
        let created = listener.next().unwrap();
        assert_eq!((created.name.as_str(), created.row_id()), ("created", three.clone()));
        assert_eq!(created.data["row"], rows(app.address, &account, "groups")[&three]);
        // what is no group is none of the list's
        put(&test.store(), &account.database(), json!({"_id": "u", "pvt_type": "user"}));
        let patched = send(&app, &account, "PATCH", &three, json!({"name": "3"}));
        let edited = listener.next().unwrap();
        assert_eq!((edited.name.as_str(), &edited.data["row"]["name"]), ("edited", &json!("3")));
        assert_eq!(edited.data["revision"], patched["revision"]);
        app.send("DELETE", &account.path(&format!("groups/{three}")), &account.token, None);
        let deleted = listener.next().unwrap();
        assert_eq!((deleted.name.as_str(), &deleted.data["row"]), ("deleted", &json!({"id": three})));
        let ids: BTreeSet<_> = [&created, &edited, &deleted].map(|event| event.id.clone().unwrap()).into();
        assert_eq!(ids.len(), 3);
    }
}

#[test]
fn a_filter_and_a_user_have_lists_of_their_own() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::unlimited(test.store());
        let user = account.user.as_str();
        let mut of_user =
            Listener::start(app.address, &account.path(&format!("users/{user}/groups")), &account.token, None);
        let mut red = Listener::start(app.address, &account.path("groups?filter_color=red"), &account.token, None);
        assert_eq!((names(&of_user.until("live")), names(&red.until("live"))), (vec!["live"], vec!["live"]));
        let id = app.create(&account, json!({"name": "a", "color": "red", "endpoints": {}}));
        assert_eq!(red.next().unwrap().name, "created");
        send(&app, &account, "PATCH", &id, json!({"color": "blue", "endpoints": {user: {"type": "user"}}}));
        assert_eq!(red.next().unwrap().name, "deleted");
        assert_eq!(of_user.next().unwrap().name, "created");
        send(&app, &account, "POST", &id, json!({"name": "b", "color": "red", "endpoints": {}}));
        assert_eq!((of_user.next().unwrap().name.as_str(), red.next().unwrap().name.as_str()), ("deleted", "created"));
    }
}

/// Makes, changes and deletes groups, one after the other; whether a write is refused does not matter.
fn write(address: SocketAddr, account: &TestAccount, random: &mut fastrand::Rng, writes: usize, from: usize) {
    for _ in 0..writes {
        let id = format!("{:032}", from + random.usize(..GROUPS));
        let path = account.path(&format!("groups/{id}"));
        let name = random.u32(..).to_string();
        let (method, path, data) = match random.usize(..6) {
            0 => ("DELETE", path, json!({})),
            1 | 2 => ("PUT", account.path("groups"), json!({"id": id, "name": name, "endpoints": {}})),
            _ => ("POST", path, json!({"name": name, "endpoints": {}})),
        };
        let body = json!({ "data": data }).to_string();
        let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
        client::send(address, method, &path, &headers, Some(body.as_bytes())).unwrap();
    }
}

#[test]
fn whoever_is_cut_off_goes_on_where_it_was() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let mut app = TestApp::unlimited(test.store());
        let mut random = fastrand::Rng::with_seed(9);
        let mut known = Known::default();
        for round in 0..20 {
            let is_over = AtomicBool::new(false);
            let heard = thread::scope(|scope| {
                let (address, path) = (app.address, account.path("groups"));
                let (is_over, account, last) = (&is_over, &account, known.last.clone());
                let cut_after = random.usize(1..20);
                let listening = scope.spawn(move || {
                    let mut listener = Listener::start(address, &path, &account.token, last.as_deref());
                    let mut heard = listener.until("live");
                    // it hears some of what happens, and then no more
                    while heard.len() < cut_after && !is_over.load(Ordering::SeqCst) {
                        heard.extend(listener.next());
                    }
                    heard
                });
                write(address, account, &mut random, 30, 3 * round);
                is_over.store(true, Ordering::SeqCst);
                // whoever waits for one more is told of one more
                app.create(account, json!({"name": "last", "endpoints": {}}));
                listening.join().unwrap()
            });
            heard.into_iter().for_each(|event| known.told(event));
            if round % 4 == 3 {
                app = TestApp::unlimited(test.store());
            }
            // nobody writes now
            known.catch_up(app.address, &account);
            assert_eq!(known.rows, rows(app.address, &account, "groups"), "{round}");
        }
        assert!(known.seen.len() > 100, "{}", known.seen.len());
    }
}

#[test]
fn a_killed_service_is_gone_on_with() {
    for kind in Kind::all() {
        let mut test = TestStore::new(kind);
        let account = test.account();
        let mut random = fastrand::Rng::with_seed(5);
        let mut known = Known::default();
        for round in 0..3 {
            let served = test.served(&[]);
            known.catch_up(served.address, &account);
            let mut listener =
                Listener::start(served.address, &account.path("groups"), &account.token, known.last.as_deref());
            listener.until("live").into_iter().for_each(|event| known.told(event));
            write(served.address, &account, &mut random, 25, 5 * round);
            assert_eq!(make(served.address, &account), 201);
            // a few of what happened are heard, or all
            for _ in 0..random.usize(1..5) {
                known.told(listener.next().unwrap());
            }
            served.signal("-KILL");
        }
        let served = test.served(&[]);
        known.catch_up(served.address, &account);
        assert_eq!(known.rows, rows(served.address, &account, "groups"));
        assert!(known.seen.len() > 20, "{}", known.seen.len());
    }
}

/// Makes a group; gives the status.
fn make(address: SocketAddr, account: &TestAccount) -> u16 {
    let body = json!({"data": group("a", &[])}).to_string();
    let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
    client::send(address, "PUT", &account.path("groups"), &headers, Some(body.as_bytes())).unwrap().status
}

#[test]
fn a_place_of_which_nobody_knows_is_none() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::unlimited(test.store());
        app.create(&account, group("one", &[]));
        let path = account.path("groups");
        let unknown = ["garbage", "99999999-x", "", "-", "-1", "now", "18446744073709551616", "1", ":", "1:1", "1:now"];
        for last in unknown {
            let mut listener = Listener::start(app.address, &path, &account.token, Some(last));
            assert_eq!(names(&listener.until("live")), ["listed", "live"], "{last}");
        }
        // it may stand in the query; the header, which is the later, goes before it
        let live = Listener::start(app.address, &path, &account.token, None).until("live").pop().unwrap();
        let last = live.id.unwrap();
        let (known, unknown) = (format!("{path}?last_event_id={last}"), format!("{path}?last_event_id=x"));
        for (path, header, told) in [
            (&known, None, &["live"][..]),
            (&unknown, None, &["listed", "live"]),
            (&unknown, Some(last.as_str()), &["live"]),
        ] {
            let mut listener = Listener::start(app.address, path, &account.token, header);
            assert_eq!(names(&listener.until("live")), told, "{path} {header:?}");
        }
    }
}

#[test]
fn it_ends_with_its_token() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "1"]);
    let auth = Auth::new(test.store(), Metrics::new(SystemTime::now()), Duration::from_secs(1), World::real());
    let token = block_on(auth.issue(account.id, Some(&account.user), "test", 3)).unwrap();
    let mut listener = Listener::start(app.address, &account.path("groups"), &token, None);
    listener.until("live");
    let began = Instant::now();
    assert_eq!(listener.next().map(|end| end.data), Some(json!({"reason": "unauthorized"})));
    assert!(listener.next().is_none());
    assert!((1..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn it_ends_with_its_database() {
    if let Some(url) = couchdb_url() {
        let test = TestStore::new(Kind::Couch(url.clone()));
        let account = test.account();
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "1"]);
        let mut listener = Listener::start(app.address, &account.path("groups"), &account.token, None);
        listener.until("live");
        let database = database_url(&url, account.database().as_str());
        block_on(async { reqwest::Client::new().delete(database).send().await.unwrap().error_for_status().unwrap() });
        let began = Instant::now();
        assert_eq!(listener.next().map(|event| event.name), Some("end".to_owned()));
        assert!(listener.next().is_none());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[test]
fn it_ends_when_the_right_to_listen_does() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "1"]);
        let mut listener = Listener::start(app.address, &account.path("groups"), &account.token, None);
        listener.until("live");
        let user = json!({"_id": account.user.as_str(), "pvt_type": "user", "enabled": false, "pvt_signature_secret": "secret"});
        put(&test.store(), &account.database(), user);
        let began = Instant::now();
        let end = listener.next().unwrap();
        assert_eq!((end.name.as_str(), end.data), ("end", json!({"reason": "unauthorized"})));
        assert!(listener.next().is_none());
        assert!(began.elapsed() < Duration::from_secs(10));
        let refused = Listener::ask(app.address, &account.path("groups"), &account.token, None).err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    }
}

#[test]
fn only_lists_are_listened_to() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::unlimited(test.store());
    let id = app.create(&account, group("one", &[]));
    for path in [account.path(&format!("groups/{id}")), "/v2/schemas/groups".to_owned(), "/v2/schemas".to_owned()] {
        let refused = Listener::ask(app.address, &path, &account.token, None).err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 406"), "{path}: {refused}");
    }
    let other = "/v2/accounts/0123456789abcdef0123456789abcdef/groups";
    assert!(Listener::ask(app.address, other, &account.token, None).err().unwrap().starts_with("HTTP/1.1 404"));
    // whoever takes JSON too is given JSON
    let headers = [("X-Auth-Token", account.token.as_str()), ("Accept", "application/json, text/event-stream")];
    let answer = client::send(app.address, "GET", &account.path("groups"), &headers, None).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let headers = [("X-Auth-Token", account.token.as_str()), ("Accept", "text/event-stream")];
    let answer = client::send(app.address, "HEAD", &account.path("groups"), &headers, None).unwrap();
    assert_eq!(answer.status, 406);
}

#[test]
fn no_more_listen_than_may_and_all_share_one_feed() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--max-listeners", "30"]);
        let path = account.path("groups");
        let listen = || Listener::start(app.address, &path, &account.token, None);
        let mut listeners: Vec<Listener> = (0..30).map(|_| listen()).collect();
        listeners.iter_mut().for_each(|listener| drop(listener.until("live")));
        let refused = Listener::ask(app.address, &path, &account.token, None).err().unwrap().to_lowercase();
        assert!(refused.starts_with("http/1.1 503") && refused.contains("retry-after: 1\r\n"), "{refused}");
        let id = app.create(&account, group("one", &[]));
        for listener in &mut listeners {
            assert_eq!(listener.next().unwrap().row_id(), id);
        }
        let metrics = app.metrics();
        assert_eq!((metrics["crossbar_listeners"], metrics["crossbar_feeds"]), (30.0, 1.0));
        // requests go on beside them
        assert_eq!(metrics["crossbar_requests_under_way"], 0.0);
        drop(listeners);
        let began = Instant::now();
        while app.metrics()["crossbar_listeners"] + app.metrics()["crossbar_feeds"] > 0.0 {
            assert!(began.elapsed() < Duration::from_secs(10), "they are not let go");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn who_listens_holds_up_no_end() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::unlimited(test.store());
    let mut listener = Listener::start(app.address, &account.path("groups"), &account.token, None);
    listener.until("live");
    let began = Instant::now();
    drop(app);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(listener.next().map(|event| event.data), Some(json!({"reason": "stopping"})));
    assert!(listener.next().is_none());
}

#[test]
fn one_who_takes_nothing_costs_a_few_pieces_and_holds_up_nobody() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = TestApp::start(test.store(), &["--rate-limit", "off", "--send-time-out", "600"]);
    let id = app.create(&account, json!({"name": "x".repeat(100), "flags": ["f".repeat(60_000)], "endpoints": {}}));
    let mut slow = Listener::start(app.address, &account.path("groups"), &account.token, None);
    let mut quick = Listener::start(app.address, &account.path("groups"), &account.token, None);
    quick.until("live");
    // more than its connection and its queue hold
    for number in 0..200 {
        send(&app, &account, "PATCH", &id, json!({"name": number.to_string()}));
        assert_eq!(quick.next().unwrap().data["row"]["name"], number.to_string());
    }
    // it was told of some of it, and is told what has become of it
    let began = Instant::now();
    while slow.next().unwrap().data["row"]["name"] != "199" {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
