//! Requests as nobody should send them, to the program: none makes it fail, stop or grow, none reads or writes what is
//! another account's, none writes what is not a client's to write.
//!
//! `HOSTILE_REQUESTS` says how many are sent (to each store), `HOSTILE_SEED` which; a failure tells the seed of its
//! request, which is then the first of `HOSTILE_REQUESTS=1 HOSTILE_SEED=…`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::hostile::{Targets, exchange, statuses};
use crate::common::{Kind, TestAccount, TestStore, block_on, client, document, new_id};
use crossbar_groups::document::{DbName, Document};
use crossbar_groups::store::Attachments;

/// How many clients send them at the same time.
const CLIENTS: u64 = 4;

/// What the program may hold: what the systemd unit would let it.
const MOST_MEMORY_KB: u64 = 512 * 1024;

/// What stands in every document of the other account.
const SECRET: &str = "only-the-other-account-may-read-this";

fn number<T: FromStr>(variable: &str, default: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Puts groups into an account whose private fields are whole.
fn with_groups(test: &TestStore, account: &TestAccount, text: &str) -> Vec<String> {
    let ids: Vec<String> = (0..6).map(|_| new_id()).collect();
    let group = |id: &String| {
        document(json!({
            "_id": id, "name": text, "endpoints": {account.user.as_str(): {"type": "user"}}, "pvt_type": "group",
            "pvt_vsn": "1", "pvt_account_id": account.id.as_str(), "pvt_account_db": account.id.encoded_database(),
            "pvt_created": 1, "pvt_modified": 1,
        }))
    };
    block_on(test.store().load(&account.database(), ids.iter().map(group).collect())).unwrap();
    ids
}

/// All documents of a database, by their ids.
fn documents(test: &TestStore, database: &DbName) -> BTreeMap<String, Document> {
    let found = block_on(test.store().dump(database, None, 1_000_000, Attachments::Named)).unwrap().unwrap();
    found.into_iter().map(|document| (document.id().unwrap(), document)).collect()
}

/// The most memory that a process ever had, in kilobytes.
fn most_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends the requests of the seeds; each must be answered as a client's mistake at the worst, and without the secret.
fn send(address: SocketAddr, targets: &Targets, seeds: Range<u64>) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for seed in seeds.step_by(CLIENTS as usize) {
        let request = targets.request(seed);
        let shown = || format!("HOSTILE_SEED={seed}: {:?}", String::from_utf8_lossy(&request.bytes));
        let answer = exchange(address, &request).unwrap_or_else(|error| panic!("{error}: {}", shown()));
        let found = statuses(&answer);
        assert!(found.len() >= request.answers, "no answer: {}", shown());
        assert!(found.iter().all(|status| *status < 500), "{found:?}: {}", shown());
        assert!(!String::from_utf8_lossy(&answer).contains(SECRET), "the other account's: {}", shown());
        found.into_iter().for_each(|status| *counts.entry(status).or_default() += 1);
    }
    counts
}

#[test]
fn no_request_harms_the_service_or_another_account() {
    for kind in Kind::all() {
        attack(kind);
    }
}

fn attack(kind: Kind) {
    let (count, first) = (number("HOSTILE_REQUESTS", 1_500), number("HOSTILE_SEED", 1));
    let named = format!("{kind:?}").split('(').next().unwrap().to_owned();
    let mut test = TestStore::new(kind);
    let [own, other, foreign] = [test.account(), test.account(), test.account()];
    let ids = [with_groups(&test, &own, "own"), with_groups(&test, &other, SECRET)].concat();
    let before = (documents(&test, &own.database()), documents(&test, &other.database()));
    let targets = Targets {
        own: (own.id.to_string(), own.user.to_string()),
        token: own.token.clone(),
        other: (other.id.to_string(), other.user.to_string()),
        other_token: other.token.clone(),
        foreign_token: foreign.token,
        ids,
    };

    let served = test.served(&[]);
    let address = served.address;
    let mut slowest = 0;
    let counts = thread::scope(|scope| {
        let targets = &targets;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || send(address, targets, first + client..first + count)))
            .collect();
        while !clients.iter().all(ScopedJoinHandle::is_finished) {
            let asked = Instant::now();
            assert_eq!(client::send(address, "GET", "/healthz", &[], None).unwrap().status, 200);
            slowest = slowest.max(asked.elapsed().as_millis());
            thread::sleep(Duration::from_millis(50));
        }
        let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
        for (status, more) in clients.into_iter().flat_map(|client| client.join().unwrap()) {
            *counts.entry(status).or_default() += more;
        }
        counts
    });
    assert!(slowest < 2_000, "/healthz took {slowest} ms");

    // what is there can be read
    let get = |path: &str| client::send(served.address, "GET", path, &[("X-Auth-Token", &own.token)], None).unwrap();
    let list = get(&own.path("groups?paginate=false"));
    assert_eq!(list.status, 200);
    let listed: Vec<Value> = list.json()["data"].as_array().unwrap().clone();
    for group in listed.iter().take(50) {
        let answer = get(&own.path(&format!("groups/{}", percent_encoded(group["id"].as_str().unwrap()))));
        assert_eq!(answer.status, 200, "{group}");
    }
    let memory = most_memory(served.process.id());
    assert!(memory < MOST_MEMORY_KB, "{memory} kB");
    drop(served);

    test.take_back();
    let (own_before, other_before) = before;
    let texts =
        |documents: BTreeMap<String, Document>| documents.into_values().map(|of| of.to_json()).collect::<Vec<_>>();
    assert_eq!(texts(documents(&test, &other.database())), texts(other_before), "the other account's documents");
    for (id, document) in documents(&test, &own.database()) {
        match own_before.get(&id) {
            Some(before) if before.text("pvt_type").as_deref() != Some("group") => {
                assert_eq!(document.to_json(), before.to_json(), "no group");
            }
            _ => {
                let shown = document.to_json();
                assert_eq!(document.text("pvt_type").as_deref(), Some("group"), "{shown}");
                assert_eq!(document.text("pvt_account_id").as_deref(), Some(own.id.as_str()), "{shown}");
                assert_eq!(document.text("pvt_account_db"), Some(own.id.encoded_database()), "{shown}");
                assert_eq!(document.text("pvt_vsn").as_deref(), Some("1"), "{shown}");
                assert!(document.integer("pvt_created").is_some() && document.integer("pvt_modified").is_some());
            }
        }
    }
    println!(
        "{named}: {count} requests, answers {counts:?}, /healthz at most {slowest} ms, memory at most {memory} kB"
    );
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn what_is_nested_deep_or_has_many_parts_costs_no_more_than_its_bytes() {
    let mut test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let groups = with_groups(&test, &account, "own");
    let served = test.served(&[]);
    let send = |method: &str, path: &str, headers: &[(&str, &str)], data: &str| {
        let body = format!("{{\"data\":{data}}}");
        let headers = [&[("X-Auth-Token", account.token.as_str())], headers].concat();
        client::send(served.address, method, &account.path(path), &headers, Some(body.as_bytes())).unwrap().status
    };
    let group = format!("groups/{}", groups[0]);
    let deep = format!(r#"{}{{"b":"{}","c":null}}{}"#, r#"{"a":"#.repeat(500), "x".repeat(1_000_000), "}".repeat(500));
    assert_eq!(send("PATCH", &group, &[], &format!(r#"{{"deep":{deep}}}"#)), 200);
    let many = |value: &str| {
        let fields: Vec<String> = (0..50_000).map(|number| format!("\"{number}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert_eq!(send("PATCH", &group, &[], &many("1")), 200);
    assert_eq!(send("PATCH", &group, &[], &many("null")), 200);
    let items = format!("[{}1]", "1,".repeat(1_000_000));
    for place in [format!(r#""id":{items}"#), format!(r#""value":{{"id":{items}}}"#)] {
        assert_eq!(send("PUT", "groups", &[], &format!(r#"{{"name":"x","endpoints":{{}},{place}}}"#)), 400);
    }
    assert_eq!(send("PATCH", &group, &[("Accept", &"a/b,".repeat(15_000))], r#"{"name":"x"}"#), 406);
    let memory = most_memory(served.process.id());
    assert!(memory < 200 * 1024, "{memory} kB");
}
