//! Several nodes of one CouchDB, with a proxy before each that can fail: no client notices.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::client;
use crate::common::proxy::Proxy;
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, couchdb_url, hanging, named};
use crossbar_groups::document::DocId;
use serde_json::json;

/// Tests the service before a CouchDB of two nodes.
fn with_two_nodes(test: impl Fn(&TestApp, &TestStore, &TestAccount, &[Proxy; 2])) {
    let Some(url) = couchdb_url() else { return };
    let store = TestStore::new(Kind::Couch(url.clone()));
    let account = store.account();
    let nodes = [Proxy::before(&url), Proxy::before(&url)];
    let app = TestApp::before(&nodes.each_ref().map(|node| node.url(&url)));
    test(&app, &store, &account, &nodes);
}

#[test]
fn a_node_that_goes_and_comes_is_not_noticed() {
    with_two_nodes(|app, _, account, [first, second]| {
        let groups = account.path("groups");
        let made = app.send("PUT", &groups, &account.token, named("made with both"));
        assert_eq!(made.status, 201);
        for round in 0..3 {
            let (going, staying) = if round % 2 == 0 { (first, second) } else { (second, first) };
            going.cut();
            for _ in 0..5 {
                assert_eq!(app.get(&groups, &account.token).status, 200);
                assert_eq!(app.send("PUT", &groups, &account.token, named("made with one")).status, 201);
            }
            going.open();
            // the one that stayed goes as soon as the other is back
            staying.cut();
            assert_eq!(app.get(&groups, &account.token).json()["page_size"], 1 + 5 * (round + 1));
            staying.open();
        }
    });
}

#[test]
fn no_request_fails_while_nodes_go_and_come_under_load() {
    with_two_nodes(|app, _, account, [first, second]| {
        let groups = account.path("groups");
        let made = app.send("PUT", &groups, &account.token, named("read by many")).json();
        let group = account.path(&format!("groups/{}", made["data"]["id"].as_str().unwrap()));
        let (done, reads, writes) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let read = || {
            while !done.load(Ordering::SeqCst) {
                for path in [&group, &groups] {
                    let answer = app.get(path, &account.token);
                    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let write = || {
            let mut flags = 0;
            while !done.load(Ordering::SeqCst) {
                flags += 1;
                let change = json!({"data": {"flags": [flags.to_string()]}});
                let changed = app.send("PATCH", &group, &account.token, Some(change));
                assert_eq!(changed.status, 200, "{}", changed.text());
                // what was written is what is read
                let found = app.get(&group, &account.token).json();
                assert_eq!(found["revision"], changed.json()["revision"]);
                assert_eq!(found["data"]["flags"], json!([flags.to_string()]));
                writes.fetch_add(1, Ordering::SeqCst);
            }
        };
        // a busy machine gets less done in the same time
        let go_on = || {
            let (reads_before, writes_before) = (reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst));
            let begun = Instant::now();
            let is_enough =
                || reads.load(Ordering::SeqCst) > reads_before + 8 && writes.load(Ordering::SeqCst) > writes_before;
            while begun.elapsed() < Duration::from_millis(300)
                || !is_enough() && begun.elapsed() < Duration::from_secs(10)
            {
                thread::sleep(Duration::from_millis(20));
            }
        };
        thread::scope(|scope| {
            let readers = [(); 4].map(|()| scope.spawn(read));
            let writer = scope.spawn(write);
            for going in [first, second, first] {
                going.cut();
                go_on();
                going.open();
                go_on();
            }
            // reads come back to the first after its rest
            let (before, open) = (first.carried(), Instant::now());
            let is_back = || first.carried() > before + 20;
            while !is_back() && open.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(50));
            }
            done.store(true, Ordering::SeqCst);
            assert!(is_back());
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            writer.join().unwrap();
            let (reads, writes) = (reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst));
            assert!(reads > 50 && writes > 5, "{reads} reads, {writes} writes");
        });
    });
}

#[test]
fn without_any_node_clients_are_told_so_until_one_is_back() {
    with_two_nodes(|app, _, account, [first, second]| {
        let groups = account.path("groups");
        first.cut();
        second.cut();
        assert_eq!(app.send("PUT", &groups, &account.token, named("lost")).status, 503);
        second.open();
        let listed = app.get(&groups, &account.token);
        assert_eq!((listed.status, listed.json()["data"].clone()), (200, json!([])));
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_made_once() {
    with_two_nodes(|app, store, account, [first, _]| {
        let revision = |id: &str| {
            let id: DocId = id.parse().unwrap();
            let document = block_on(async { store.store().get(&account.database(), &id).await }).unwrap().unwrap();
            document.revision().unwrap().to_string()
        };
        let (groups, token) = (account.path("groups"), &account.token);
        let known = app.send("PUT", &groups, token, named("known")).json()["data"]["id"].as_str().unwrap().to_owned();

        first.lose_answers_to_puts();
        let changed = app.send("PATCH", &account.path(&format!("groups/{known}")), token, named("changed"));
        assert_eq!(changed.status, 200);
        assert_eq!(changed.json()["revision"], revision(&known));
        assert!(revision(&known).starts_with("2-"), "{}", revision(&known));

        // the first node is asked again after its rest
        thread::sleep(Duration::from_millis(1100));
        let made = app.send("PUT", &groups, token, named("made"));
        assert_eq!(made.status, 201);
        let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
        assert_eq!(made.json()["revision"], revision(&id));
        assert!(revision(&id).starts_with("1-"));
        assert_eq!(app.get(&groups, token).json()["page_size"], 2);
    });
}

#[test]
fn of_one_node_alone_a_write_whose_answer_is_lost_is_made_once_too() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let account = test.account();
    let node = Proxy::before(&url);
    let app = TestApp::before(&[node.url(&url)]);
    let (groups, token) = (account.path("groups"), &account.token);
    // the answers of all tries are lost, so that only what is there shows what happened
    node.lose_answers_to_puts();
    let made = app.send("PUT", &groups, token, named("made"));
    assert_eq!(made.status, 201, "{}", made.text());
    let group = format!("{groups}/{}", made.json()["data"]["id"].as_str().unwrap());
    let changed = app.send("PATCH", &group, token, named("changed"));
    assert_eq!(changed.status, 200, "{}", changed.text());
    let there = app.get(&group, token).json();
    assert_eq!((&there["data"]["name"], &there["revision"]), (&json!("changed"), &changed.json()["revision"]));
    assert_eq!(app.get(&groups, token).json()["page_size"], 1);
}

#[test]
fn a_node_that_hangs_is_left_alone_also_when_nobody_waits_for_it() {
    let Some(url) = couchdb_url() else { return };
    let (_node, hanging) = hanging();
    let app = TestApp::before(&[hanging, url]);
    let ready = || client::send(app.address, "GET", "/readyz", &[], None).unwrap().status;
    // it gives the store less time than a node has
    assert_eq!(ready(), 503);
    assert_eq!(ready(), 200);
}

#[test]
fn a_node_that_hangs_is_waited_for_once() {
    let Some(url) = couchdb_url() else { return };
    let account = TestStore::new(Kind::Couch(url.clone())).account();
    let (_node, hanging) = hanging();
    let app = TestApp::before(&[hanging, url]);
    let groups = account.path("groups");
    let first = Instant::now();
    assert_eq!(app.get(&groups, &account.token).status, 200);
    let first = first.elapsed();
    let second = Instant::now();
    assert_eq!(app.get(&groups, &account.token).status, 200);
    assert!(second.elapsed() < first, "{first:?}, then {:?}", second.elapsed());
}
