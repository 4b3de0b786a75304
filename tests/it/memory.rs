//! What many may ask at once, and what it costs: the program as a process of its own, looked at from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::program::Served;
use crate::common::{Kind, TestAccount, TestStore, block_on, document};

/// What systemd and docker-compose let the service have.
const MOST_MIB: u64 = 512;

/// How long `/healthz` may take, whatever else is asked. What it takes on a machine of its own is a tenth of that.
const LONGEST_HEALTHZ: Duration = Duration::from_secs(1);

/// The service on a store with one account.
struct Program {
    served: Served,
    account: TestAccount,
    _store: TestStore,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut store = TestStore::new(Kind::Embedded);
        let account = store.account();
        let served = store.served(arguments);
        Self { served, account, _store: store }
    }

    fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        let headers = [("X-Auth-Token", self.account.token.as_str()), ("Content-Type", "application/json")];
        client::send(self.served.address, method, path, &headers, body.map(str::as_bytes)).unwrap()
    }

    /// Creates a group of these fields; gives its path.
    fn create(&self, group: Value) -> String {
        let groups = self.account.path("groups");
        let answer = self.send("PUT", &groups, Some(&json!({ "data": group }).to_string()));
        assert_eq!(answer.status, 201);
        format!("{groups}/{}", answer.json()["data"]["id"].as_str().unwrap())
    }

    /// Sends a request so many times at once, and gives the statuses. Each is answered, 503 with when to come again;
    /// meanwhile `/healthz` answers, and after it all is well within the memory.
    fn storm(&self, clients: usize, method: &str, path: &str, body: Option<&str>) -> Vec<u16> {
        let is_over = AtomicBool::new(false);
        let statuses = thread::scope(|scope| {
            let health = scope.spawn(|| self.slowest_healthz(&is_over));
            let clients: Vec<_> = (0..clients).map(|_| scope.spawn(|| self.send(method, path, body))).collect();
            let answers: Vec<Response> = clients.into_iter().map(|client| client.join().unwrap()).collect();
            is_over.store(true, Ordering::Relaxed);
            let slowest = health.join().unwrap();
            assert!(slowest < LONGEST_HEALTHZ, "{slowest:?}: {method} {}", start(path));
            for answer in answers.iter().filter(|answer| answer.status == 503) {
                assert!(answer.header("retry-after").is_some(), "{method} {}", start(path));
            }
            answers.iter().map(|answer| answer.status).collect()
        });
        // it is not told everywhere
        let peak = self.served.peak().unwrap_or_default() / 1024 / 1024;
        assert!(peak < MOST_MIB, "{peak} MiB: {method} {}", start(path));
        statuses
    }

    fn slowest_healthz(&self, is_over: &AtomicBool) -> Duration {
        let mut slowest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            assert_eq!(client::send(self.served.address, "GET", "/healthz", &[], None).unwrap().status, 200);
            slowest = slowest.max(begun.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
        slowest
    }
}

fn start(path: &str) -> String {
    path.chars().take(80).collect()
}

/// How many of some statuses there are, of those that are expected.
fn count(statuses: &[u16], expected: &[u16], status: u16) -> usize {
    assert!(statuses.iter().all(|status| expected.contains(status)), "{statuses:?}");
    statuses.iter().filter(|of| **of == status).count()
}

#[test]
fn many_large_bodies_at_once() {
    let program = Program::start(&[]);
    let groups = program.account.path("groups");
    let body = |data: &str| format!("{{\"data\":{{\"name\":\"x\",\"endpoints\":{{}},\"x\":{data}}}}}");
    let text = body(&format!("\"{}\"", "x".repeat(7_900_000)));
    assert!(count(&program.storm(24, "PUT", &groups, Some(&text)), &[201, 503], 201) >= 1);
    // the schema knows nothing of these values, and of those so many are not looked at
    let list = format!("[{}1]", "1,".repeat(3_900_000));
    count(&program.storm(24, "PUT", &groups, Some(&body(&list))), &[201, 503], 201);
    let checked = format!("{{\"data\":{{\"name\":\"x\",\"endpoints\":{{}},\"flags\":{list}}}}}");
    count(&program.storm(24, "PUT", &groups, Some(&checked)), &[400, 503], 400);
    // when all is over, the largest is taken again
    assert_eq!(program.send("PUT", &groups, Some(&text)).status, 201);
}

#[test]
fn many_large_answers_at_once() {
    let program = Program::start(&[]);
    let group = program.create(json!({"name": "x", "endpoints": {}, "x": "x".repeat(7_900_000)}));
    assert!(count(&program.storm(24, "GET", &group, None), &[200, 503], 200) >= 8);
    count(&program.storm(8, "PATCH", &group, Some(r#"{"data":{"flags":["a"]}}"#)), &[200, 503], 200);
}

#[test]
fn what_is_no_parameter_is_not_read_as_one() {
    let program = Program::start(&[]);
    let groups = program.account.path("groups");
    let list = format!("[{}1]", "1,".repeat(3_900_000));
    for body in [
        format!("{{\"data\":{{}},\"verb\":{list},\"paginate\":{list_of_few}}}", list_of_few = "[1]"),
        format!("{{\"nothing\":{list}}}"),
        format!("{{\"data\":\"{}\"}}", "x".repeat(7_900_000)),
    ] {
        count(&program.storm(12, "PUT", &groups, Some(&body)), &[400, 503], 400);
    }
}

/// The service on a store of one account with these documents.
fn started_with(documents: Vec<Value>, arguments: &[&str]) -> Program {
    let mut store = TestStore::new(Kind::Embedded);
    let account = store.account();
    let documents = documents.into_iter().map(document).collect();
    block_on(store.store().load(&account.database(), documents)).unwrap();
    let served = store.served(arguments);
    Program { served, account, _store: store }
}

fn a_device(at: usize) -> Value {
    json!({"_id": format!("d{at}"), "pvt_type": "device", "name": format!("Device {at}"), "sip": {"username": "a"}})
}

#[test]
fn what_rings_by_many_callflows_is_bounded() {
    let mut documents: Vec<Value> = (0..300).map(a_device).collect();
    let endpoints: serde_json::Map<String, Value> =
        (0..300).map(|at| (format!("d{at}"), json!({"type": "device"}))).collect();
    documents.push(json!({"_id": "g", "pvt_type": "group", "name": "G", "endpoints": endpoints}));
    // each rings each device 20 times: 540 thousand rings in all, some 100 MB
    let items: Vec<Value> = (0..20).map(|delay| json!({"id": "g", "endpoint_type": "group", "delay": delay})).collect();
    documents.extend((0..90).map(|at| {
        let flow = json!({"module": "ring_group", "data": {"endpoints": items}, "children": {}});
        json!({"_id": format!("c{at}"), "pvt_type": "callflow", "numbers": [at.to_string()], "flow": flow})
    }));
    let program = started_with(documents, &["--max-answer", "3000000"]);
    let path = program.account.path("groups/g/rings");
    assert_eq!(program.send("GET", &path, None).json()["data"]["rings"].as_array().unwrap().len(), 300);
    let answer = program.send("GET", &format!("{path}?callflows=true"), None);
    assert_eq!(answer.status, 400);
    // it is not told everywhere
    let peak = program.served.peak().unwrap_or_default() / 1024 / 1024;
    assert!(peak < MOST_MIB, "{peak} MiB");
}

#[test]
fn what_many_callflows_use_is_told() {
    let ring = |at: usize| {
        let data = json!({"endpoints": [{"id": "g", "endpoint_type": "group"}, {"id": format!("d{at}")}]});
        let flow = json!({"module": "ring_group", "data": data, "children": {}});
        json!({"_id": format!("c{at}"), "pvt_type": "callflow", "name": format!("Flow {at}"), "numbers": [at.to_string()], "flow": flow})
    };
    let mut documents: Vec<Value> = (0..5_000).map(ring).collect();
    documents.push(json!({"_id": "g", "pvt_type": "group", "name": "G", "endpoints": {}}));
    let program = started_with(documents, &[]);
    let path = program.account.path("groups/g/used_by");
    let at_rest = program.served.peak();
    let answer = program.send("GET", &path, None);
    assert_eq!((answer.status, answer.json()["data"]["callflows"].as_array().unwrap().len()), (200, 5_000));
    // it is not told everywhere
    if let Some((before, after)) = at_rest.zip(program.served.peak()) {
        let more = after.saturating_sub(before) / 1024 / 1024;
        assert!(more < 64, "{more} MiB for {} bytes", answer.body.len());
    }
    count(&program.storm(4, "GET", &path, None), &[200, 503], 200);
}
