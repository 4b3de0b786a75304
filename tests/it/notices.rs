//! Change notices, against a real RabbitMQ: what they say, and that no request minds a broker that is away.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use serde_json::{Value, json};
use url::Url;

use crate::common::faulty::{Fault, Faulty, Of};
use crate::common::program::program;
use crate::common::proxy::Proxy;
use crate::common::{
    Kind, TestAccount, TestApp, TestStore, amqp_url, block_on, client, couchdb_url, document, named, new_id,
};
use crossbar_groups::document::Document;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::time::gregorian_seconds;
use crossbar_groups::kazoo::views;
use crossbar_groups::store::couch::{Couch, CouchOptions, Times};
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{Server, Store};

/// How long something may take that is not to be waited for in vain.
const SOON: Duration = Duration::from_secs(30);

/// A message as Kazoo's nodes get it.
#[derive(Debug)]
struct Message {
    routing_key: String,
    content_type: String,
    body: Value,
}

impl Message {
    fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("{name}: {}", self.body))
    }

    /// The document, and how often it was written.
    fn revision(&self) -> (String, u64) {
        (self.field("ID").to_owned(), self.field("Rev").split('-').next().unwrap().parse().unwrap())
    }
}

/// Listens for an account's notices as a Kazoo node does.
struct KazooNode(Receiver<Message>);

impl KazooNode {
    fn listen(url: &str, account: AccountId) -> Self {
        let binding = format!("*.{}.*.*", account.encoded_database());
        let (messages, received) = mpsc::channel();
        let (told, listening) = mpsc::channel();
        let url = url.to_owned();
        thread::spawn(move || {
            block_on(async {
                let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
                let channel = connection.create_channel().await.unwrap();
                let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default());
                let exchange = "configuration";
                channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none.clone()).await.unwrap();
                let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
                let queue = channel.queue_declare("".into(), options, none.clone()).await.unwrap();
                let (name, options) = (queue.name().clone(), QueueBindOptions::default());
                let bound = channel.queue_bind(name.clone(), exchange.into(), binding.into(), options, none.clone());
                bound.await.unwrap();
                let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
                let mut deliveries = channel.basic_consume(name, "".into(), options, none).await.unwrap();
                told.send(()).unwrap();
                while let Some(Ok(delivery)) = deliveries.next().await {
                    let message = Message {
                        routing_key: delivery.routing_key.to_string(),
                        content_type: delivery.properties.content_type().clone().unwrap().to_string(),
                        body: serde_json::from_slice(&delivery.data).unwrap(),
                    };
                    if messages.send(message).is_err() {
                        return;
                    }
                }
            });
        });
        listening.recv().unwrap();
        Self(received)
    }

    fn next(&self) -> Message {
        self.0.recv_timeout(SOON).unwrap()
    }

    /// All messages until those of so many writes have come at least once.
    fn until(&self, writes: usize) -> Vec<Message> {
        let (mut messages, mut seen) = (Vec::new(), BTreeSet::new());
        while seen.len() < writes {
            let message = self.next();
            seen.insert(message.revision());
            messages.push(message);
        }
        messages
    }
}

fn start(test: &TestStore, amqp: &str, more: &[&str]) -> TestApp {
    TestApp::start(test.store(), &[&["--rate-limit", "off", "--amqp", amqp], more].concat())
}

/// Notices queued, sent and dropped.
fn counts(app: &TestApp) -> [u64; 3] {
    let metrics = app.metrics();
    ["queued", "sent", "dropped"].map(|of| metrics[&format!("crossbar_notices_{of}_total")] as u64)
}

fn wait_for_counts(app: &TestApp, want: [u64; 3]) {
    let started = Instant::now();
    while counts(app) != want {
        assert!(started.elapsed() < SOON, "{:?}, want {want:?}", counts(app));
        thread::sleep(Duration::from_millis(20));
    }
}

/// Creates a group; gives its id.
fn create(app: &TestApp, account: &TestAccount) -> String {
    app.create(account, json!({"name": "A group", "endpoints": {}}))
}

fn patch(app: &TestApp, account: &TestAccount, id: &str) {
    let answer = app.send("PATCH", &account.path(&format!("groups/{id}")), &account.token, named("Another name"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn stored(test: &TestStore, account: &TestAccount, id: &str) -> Arc<Document> {
    block_on(test.store().get(&account.database(), &id.parse().unwrap())).unwrap().unwrap()
}

#[test]
fn a_write_is_told_as_kazoo_tells_it() {
    let Some(url) = amqp_url() else { return };
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (credentials, realm) = test.credentials(&account);
        let untyped = document(json!({"_id": "old", "name": "Old", "endpoints": {}}));
        block_on(test.store().load(&account.database(), vec![untyped])).unwrap();
        let node = KazooNode::listen(&url, account.id);
        let app = start(&test, &url, &[]);
        let (groups, token) = (account.path("groups"), account.token.as_str());

        // of all this Kazoo's nodes need to know nothing
        assert_eq!(app.sign_in(&credentials, &realm).0, 201);
        assert_eq!(app.get(&groups, token).status, 200);
        assert_eq!(app.get(&account.path("groups/old"), token).status, 200);
        assert_eq!(app.send("PUT", &groups, token, Some(json!({"data": {}}))).status, 400);
        let stale = [("X-Auth-Token", token), ("If-Match", "\"1-a\""), ("Content-Type", "application/json")];
        let body = named("Too late").unwrap().to_string();
        let path = account.path("groups/old");
        let answer = client::send(app.address, "POST", &path, &stale, Some(body.as_bytes())).unwrap();
        assert_eq!(answer.status, 412);

        let id = create(&app, &account);
        let path = account.path(&format!("groups/{id}"));
        let mut ids = BTreeSet::new();
        for (event, method, body) in [
            ("doc_created", None, None),
            ("doc_edited", Some("POST"), named("Posted")),
            ("doc_edited", Some("PATCH"), named("Patched")),
            ("doc_deleted", Some("DELETE"), None),
        ] {
            if let Some(method) = method {
                assert_eq!(app.send(method, &path, token, body).status, 200, "{method}");
            }
            let (message, group) = (node.next(), stored(&test, &account, &id));
            let database = account.id.encoded_database();
            assert_eq!(message.routing_key, format!("{event}.{database}.group.{id}"));
            assert_eq!(message.content_type, "application/json");
            let message_id = message.field("Msg-ID");
            assert!(message_id.len() == 16 && message_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{message_id}");
            assert!(ids.insert(message_id.to_owned()), "twice: {message_id}");
            let (created, modified) = (group.integer("pvt_created").unwrap(), group.integer("pvt_modified").unwrap());
            assert!((gregorian_seconds(std::time::SystemTime::now()) - created).abs() < 600);
            let want = json!({
                "Event-Category": "configuration",
                "Event-Name": event,
                "App-Name": "datamgr",
                "App-Version": "4.0.0",
                "Node": format!("crossbar-groups@{}", app.address),
                "Msg-ID": message_id,
                "ID": id,
                "Type": "group",
                "Database": database,
                "Account-ID": account.id.as_str(),
                "Rev": group.revision().unwrap().to_string(),
                "Is-Soft-Deleted": event == "doc_deleted",
                "Date-Created": created,
                "Date-Modified": modified,
                "Origin-Cache": "kazoo_data_cache",
            });
            assert_eq!(message.body, want);
        }

        // a group of an old database
        patch(&app, &account, "old");
        let message = node.next();
        assert_eq!(message.routing_key, format!("doc_edited.{}.undefined.old", account.id.encoded_database()));
        assert_eq!(message.body.get("Type"), None);
        assert_eq!(message.field("Account-ID"), account.id.as_str());
        wait_for_counts(&app, [5, 5, 0]);
    }
}

#[test]
fn a_user_whose_secret_is_made_at_sign_in_is_told() {
    let Some(url) = amqp_url() else { return };
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (credentials, realm) = test.credentials(&account);
    let mut user = Arc::unwrap_or_clone(stored(&test, &account, account.user.as_str()));
    user.remove("pvt_signature_secret");
    block_on(test.store().put(&account.database(), &user)).unwrap();
    let node = KazooNode::listen(&url, account.id);
    let app = start(&test, &url, &[]);
    assert_eq!(app.sign_in(&credentials, &realm).0, 201);
    let message = node.next();
    let database = account.id.encoded_database();
    assert_eq!(message.routing_key, format!("doc_edited.{database}.user.{}", account.user));
}

#[test]
fn what_an_audit_mends_is_told() {
    let Some(url) = amqp_url() else { return };
    let folder = tempfile::tempdir().unwrap();
    let account: AccountId = new_id();
    let group = json!({"_id": "g", "pvt_type": "group", "endpoints": {"gone": {"type": "user"}}});
    block_on(async {
        let store = Embedded::open(folder.path(), views::ALL).unwrap();
        store.create(&account.database()).await.unwrap();
        let own = json!({"_id": account.as_str(), "pvt_type": "account"});
        store.put(&account.database(), &document(own)).await.unwrap();
        store.put(&account.database(), &document(group)).await.unwrap();
    });
    let node = KazooNode::listen(&url, account);
    let mended = program()
        .args(["audit", "--account", account.as_str(), "--fix", "--yes", "--store"])
        .arg(folder.path())
        .env("CROSSBAR_AMQP", &url)
        .output()
        .unwrap();
    assert!(mended.status.success(), "{}", String::from_utf8_lossy(&mended.stderr));
    let message = node.next();
    assert_eq!(message.routing_key, format!("doc_edited.{}.group.g", account.encoded_database()));
    assert_eq!(message.revision(), ("g".to_owned(), 2));
}

#[test]
fn a_group_that_is_restored_is_told() {
    let Some(url) = amqp_url() else { return };
    let folder = tempfile::tempdir().unwrap();
    let account: AccountId = new_id();
    let group = json!({"_id": "g", "pvt_type": "group", "pvt_deleted": true, "endpoints": {}});
    block_on(async {
        let store = Embedded::open(folder.path(), views::ALL).unwrap();
        store.create(&account.database()).await.unwrap();
        store.put(&account.database(), &document(group)).await.unwrap();
    });
    let node = KazooNode::listen(&url, account);
    let restored = program()
        .args(["groups", "restore", "--account", account.as_str(), "g", "--store"])
        .arg(folder.path())
        .env("CROSSBAR_AMQP", &url)
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let message = node.next();
    assert_eq!(message.routing_key, format!("doc_edited.{}.group.g", account.encoded_database()));
    assert_eq!(message.revision(), ("g".to_owned(), 2));
}

#[test]
fn a_write_is_answered_when_the_broker_has_its_notice() {
    let Some(url) = amqp_url() else { return };
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let node = KazooNode::listen(&url, account.id);
    let app = start(&test, &url, &["--amqp-wait", "20000"]);
    // the first may be written before there is a connection
    let id = create(&app, &account);
    node.next();
    wait_for_counts(&app, [1, 1, 0]);
    for written in 2..=200 {
        patch(&app, &account, &id);
        assert_eq!(counts(&app), [written, written, 0], "answered before its notice was there");
    }
}

#[test]
fn a_write_that_nobody_waits_for_any_longer_is_told_once_it_has_happened() {
    let (Some(url), Some(couchdb)) = (amqp_url(), couchdb_url()) else { return };
    let times = Times { document: Duration::from_millis(1500), lost_write: SOON, ..Times::default() };
    let options = CouchOptions { times, ..CouchOptions::default() };
    for (fault, is_stopped) in [
        (Fault::Slow(times.document / 2), false),
        (Fault::Slow(times.document / 2), true),
        (Fault::Slow(times.document + Duration::from_secs(1)), false),
        (Fault::LosesAnswer, true),
        (Fault::LosesAnswerAndGoes(Duration::from_secs(1)), false),
    ] {
        let test = TestStore::new(Kind::Couch(couchdb.clone()));
        let account = test.account();
        let (listener, node) = (KazooNode::listen(&url, account.id), Faulty::before(&couchdb));
        let store = Arc::new(Couch::new(&[node.url(&couchdb)], &options).unwrap());
        let app = TestApp::start(store, &["--rate-limit", "off", "--amqp", &url]);
        let (groups, token) = (account.path("groups"), &account.token);
        create(&app, &account);
        listener.next();
        node.is(Of::Puts, fault.clone());
        let body = named("Given up").unwrap().to_string();
        client::give_up(app.address, "PUT", &groups, token, &body, times.document / 4);
        if is_stopped {
            drop(app);
        }
        let message = listener.next();
        let (id, written) = message.revision();
        assert_eq!((message.field("Event-Name"), written), ("doc_created", 1), "{fault:?}");
        assert_eq!(stored(&test, &account, &id).text("name").as_deref(), Some("Given up"));
        assert!(listener.0.try_recv().is_err(), "{fault:?}: told twice");
    }
}

#[test]
fn a_broker_that_is_away_is_not_waited_for() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    // whoever waited would wait for longer than this test may take
    let app = start(&test, "amqp://guest:guest@127.0.0.1:1", &["--amqp-wait", "3600000"]);
    let id = create(&app, &account);
    patch(&app, &account, &id);
    assert_eq!(counts(&app), [2, 0, 0]);
}

#[test]
fn a_thousand_writes_do_not_mind_that_the_broker_goes_and_comes() {
    const THREADS: usize = 4;
    const GROUPS: usize = 50;
    const WRITES_OF_A_GROUP: u64 = 5;

    let Some(url) = amqp_url() else { return };
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (node, proxy) = (KazooNode::listen(&url, account.id), Proxy::before(&url));
    let app = start(&test, &proxy.url(&url), &[]);
    create(&app, &account);
    wait_for_counts(&app, [1, 1, 0]);

    let longest = thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut longest = Duration::ZERO;
                    for _ in 0..GROUPS {
                        let mut id = String::new();
                        for written in 0..WRITES_OF_A_GROUP {
                            let started = Instant::now();
                            match written {
                                0 => id = create(&app, &account),
                                _ => patch(&app, &account, &id),
                            }
                            longest = longest.max(started.elapsed());
                        }
                    }
                    longest
                })
            })
            .collect();
        // it goes, comes and goes again in the middle of them
        for (when, is_open) in [(100, false), (300, true), (500, false)] {
            while counts(&app)[0] < when {
                thread::sleep(Duration::from_millis(5));
            }
            if is_open {
                proxy.open();
                let reached = counts(&app)[1];
                while counts(&app)[1] == reached {
                    thread::sleep(Duration::from_millis(5));
                }
            } else {
                proxy.cut();
            }
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).max().unwrap()
    });
    assert!(longest < Duration::from_secs(3), "{longest:?}");

    let writes = THREADS * GROUPS * WRITES_OF_A_GROUP as usize + 1;
    let [queued, sent, dropped] = counts(&app);
    assert_eq!((queued, dropped), (writes as u64, 0));
    assert!(sent < queued, "{sent}");
    proxy.open();
    wait_for_counts(&app, [queued, queued, 0]);

    let messages = node.until(writes);
    let mut last = BTreeMap::new();
    for (at, message) in messages.iter().enumerate() {
        last.insert(message.revision(), at);
    }
    // some may have come more than once; but who goes by what came last goes by what was written last
    let mut in_order = last.iter().zip(last.iter().skip(1)).filter(|(one, next)| one.0.0 == next.0.0);
    assert!(in_order.all(|(one, next)| one.1 < next.1));
}

#[test]
fn what_the_queue_has_no_room_for_is_dropped_and_counted() {
    let Some(url) = amqp_url() else { return };
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (node, proxy) = (KazooNode::listen(&url, account.id), Proxy::before(&url));
    proxy.cut();
    let app = start(&test, &proxy.url(&url), &["--amqp-queue", "10"]);
    let written: Vec<String> = (0..25).map(|_| create(&app, &account)).collect();
    assert_eq!(counts(&app), [10, 0, 15]);
    proxy.open();
    wait_for_counts(&app, [10, 10, 15]);
    let told: Vec<String> = node.until(10).iter().map(|message| message.revision().0).collect();
    assert_eq!(told, written[..10]);

    // and now it has room again
    let id = create(&app, &account);
    wait_for_counts(&app, [11, 11, 15]);
    assert_eq!(node.next().revision(), (id, 1));
}

#[test]
fn what_waits_is_sent_before_the_service_ends() {
    let Some(url) = amqp_url() else { return };
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (node, proxy) = (KazooNode::listen(&url, account.id), Proxy::before(&url));
    proxy.cut();
    let app = start(&test, &proxy.url(&url), &[]);
    let written: Vec<String> = (0..20).map(|_| create(&app, &account)).collect();
    assert_eq!(counts(&app), [20, 0, 0]);
    proxy.open();
    drop(app);
    let told: Vec<String> = node.0.try_iter().map(|message| message.revision().0).collect();
    let late = written.len() - told.len();
    let told: Vec<String> = told.into_iter().chain((0..late).map(|_| node.next().revision().0)).collect();
    assert_eq!(told, written);
}

#[test]
fn a_broker_that_stays_away_does_not_keep_the_service_from_ending() {
    // accepts connections and never says a word
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let amqp = format!("amqp://kazoo:s3cret@{address}/kazoo");

    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = start(&test, &amqp, &[]);
    let started = Instant::now();
    drop(app);
    assert!(started.elapsed() < Duration::from_secs(4), "with nothing to send: {:?}", started.elapsed());

    let app = start(&test, &amqp, &[]);
    create(&app, &account);
    let started = Instant::now();
    drop(app);
    assert!(started.elapsed() < Duration::from_secs(10), "with a notice to send: {:?}", started.elapsed());
}

#[test]
fn the_password_is_told_to_nobody() {
    let serve = |amqp: &str| {
        let mut command = program();
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--amqp", amqp]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let told = |stderr: Vec<u8>| String::from_utf8(stderr).unwrap();
    for wrong in ["amqp:s3cret", "http://kazoo:s3cret@broker", "amqps:s3cret", "s3cret"] {
        let output = serve(wrong).output().unwrap();
        let error = told(output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains("--amqp <URL>") && error.contains("amqp://user:password@host:port/vhost"), "{error}");
        assert_eq!(error.trim().lines().count(), 1, "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let help = program().args(["serve", "--help"]).env("CROSSBAR_AMQP", "amqp://kazoo:s3cret@broker").output().unwrap();
    let help = told(help.stdout);
    assert!(help.contains("CROSSBAR_AMQP") && !help.contains("s3cret"), "{help}");

    // not at any level of the log either, as text or as bytes, while the broker hears it
    let Some(url) = amqp_url() else { return };
    let mut url = Url::parse(&url).unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let mut process = serve(url.as_str()).env("RUST_LOG", "trace,lapin=trace,lapin::io_loop=trace").spawn().unwrap();
    let mut log = io::BufReader::new(process.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("change notices can't go to") {
        assert_ne!(io::BufRead::read_line(&mut log, &mut lines).unwrap(), 0, "{lines}");
    }
    process.kill().unwrap();
    process.wait().unwrap();
    for secret in ["s3cret".to_owned(), format!("{:?}", b"s3cret").trim_matches(['[', ']']).to_owned()] {
        let told: Vec<&str> = lines.lines().filter(|line| line.contains(&secret)).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
