//! `--cache follow`: what is kept before a CouchDB is what the CouchDB holds. Another writer, who speaks with the CouchDB
//! itself, does what it likes; at each quiet moment lists and documents are those that a service without a cache gives.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::listener::{Known, Listener, rows};
use crate::common::proxy::Proxy;
use crate::common::{Kind, TestAccount, TestApp, TestStore, couchdb_url, database_url, named};

const FOLLOW: [&str; 6] = follow("1");

/// The flags of a service that follows, and remembers keys and secrets for so many seconds.
const fn follow(auth_cache: &str) -> [&str; 6] {
    ["--rate-limit", "off", "--cache", "follow", "--auth-cache", auth_cache]
}

/// How many random changes are made; the issue's own measure is 10,000.
fn changes() -> usize {
    std::env::var("FOLLOWING_CHANGES").ok().and_then(|number| number.parse().ok()).unwrap_or(300)
}

/// Who writes into a CouchDB beside the service.
struct Other {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl Other {
    fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { client: reqwest::Client::new(), runtime, url: url.to_owned() }
    }

    fn get(&self, account: &TestAccount, id: &str) -> Option<Value> {
        let url = format!("{}/{id}", database_url(&self.url, account.database().as_str()));
        self.runtime.block_on(async {
            let answer = self.client.get(url).send().await.unwrap();
            match answer.status().as_u16() {
                200 => Some(serde_json::from_str(&answer.text().await.unwrap()).unwrap()),
                404 => None,
                status => panic!("{status}"),
            }
        })
    }

    /// Writes a document over whatever is there.
    fn put(&self, account: &TestAccount, id: &str, mut document: Value) {
        if let Some(found) = self.get(account, id) {
            document["_rev"] = found["_rev"].clone();
        }
        let url = format!("{}/{id}", database_url(&self.url, account.database().as_str()));
        self.runtime.block_on(async {
            let request = self.client.put(url).header("Content-Type", "application/json").body(document.to_string());
            let status = request.send().await.unwrap().status();
            assert!(status.is_success(), "{status}");
        });
    }

    fn remove(&self, account: &TestAccount, id: &str) {
        let Some(found) = self.get(account, id) else { return };
        self.put(account, id, json!({"_id": id, "_deleted": true, "_rev": found["_rev"]}));
    }

    /// Deletes a database, and makes it again with what is in it, but for some: a second later at the least, since CouchDB
    /// says in seconds when one was made.
    fn make_anew(&self, account: &TestAccount) {
        sleep(Duration::from_millis(1_100));
        let base = database_url(&self.url, account.database().as_str());
        self.runtime.block_on(async {
            let all = self.client.get(format!("{base}/_all_docs?include_docs=true")).send().await.unwrap();
            let all: Value = serde_json::from_str(&all.text().await.unwrap()).unwrap();
            let documents = all["rows"].as_array().unwrap().iter().map(|row| row["doc"].clone());
            let documents: Vec<Value> = documents.filter(|document| document["_id"] != "g0").collect();
            let json = |request: reqwest::RequestBuilder, body: Value| {
                request.header("Content-Type", "application/json").body(body.to_string()).send()
            };
            assert!(self.client.delete(&base).send().await.unwrap().status().is_success());
            assert!(self.client.put(&base).send().await.unwrap().status().is_success());
            let body = json!({"new_edits": false, "docs": documents});
            assert!(json(self.client.post(format!("{base}/_bulk_docs")), body).await.unwrap().status().is_success());
        });
    }
}

/// Asks for an account until it is followed.
fn until_followed(app: &TestApp, accounts: &[TestAccount]) {
    let began = Instant::now();
    loop {
        for account in accounts {
            app.get(&account.path("groups"), &account.token);
        }
        if app.metrics()["crossbar_databases_followed"] >= accounts.len() as f64 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it is not followed");
        sleep(Duration::from_millis(50));
    }
}

/// An account with one group, and a service that follows it by way of a proxy.
struct Followed {
    account: TestAccount,
    other: Other,
    proxy: Proxy,
    app: TestApp,
    group: String,
    /// The group's path.
    path: String,
    /// They are there as long as this is.
    _stores: [TestStore; 2],
}

impl Followed {
    fn start(url: &str, name: &str, auth_cache: &str) -> Self {
        let store = TestStore::new(Kind::Couch(url.to_owned()));
        let account = store.account();
        let proxy = Proxy::before(url);
        let behind = TestStore::new(Kind::Couch(proxy.url(url)));
        let app = TestApp::start(behind.store(), &follow(auth_cache));
        let group = app.create(&account, json!({"name": name, "endpoints": {}}));
        until_followed(&app, std::slice::from_ref(&account));
        let path = account.path(&format!("groups/{group}"));
        Self { account, other: Other::new(url), proxy, app, group, path, _stores: [store, behind] }
    }
}

/// What the service shows of an account: its lists, of users too and filtered, and the documents.
fn shown(app: &TestApp, account: &TestAccount) -> Vec<(String, u16, Value)> {
    let mut paths: Vec<String> =
        ["groups?paginate=false", "groups?page_size=7", "groups?filter_color=red&paginate=false"]
            .map(str::to_owned)
            .to_vec();
    paths.extend((0..USERS).map(|user| format!("users/u{user}/groups?paginate=false")));
    paths.extend((0..GROUPS).map(|group| format!("groups/g{group}")));
    let answer = |path: String| {
        let answer = app.get(&account.path(&path), &account.token);
        let envelope = answer.json();
        (path, answer.status, json!([envelope["data"], envelope["revision"], envelope["next_start_key"]]))
    };
    paths.into_iter().map(answer).collect()
}

const GROUPS: usize = 25;
const USERS: usize = 4;

/// One change of whatever there is.
fn change(other: &Other, account: &TestAccount, random: &mut fastrand::Rng) {
    let (group, user) = (format!("g{}", random.usize(..GROUPS)), format!("u{}", random.usize(..USERS)));
    match random.usize(..12) {
        0 => other.remove(account, &group),
        1 => other.put(account, &user, json!({"_id": user, "pvt_type": "user", "pvt_deleted": random.bool()})),
        2 => other.put(account, "d", json!({"_id": "d", "pvt_type": "device", "x": random.u32(..)})),
        kind => {
            let member = |_| (format!("u{}", random.usize(..USERS)), json!({"type": "user", "weight": 1}));
            let endpoints: serde_json::Map<_, _> = (0..2).map(member).collect();
            let document = json!({
                "_id": group,
                "pvt_type": if kind == 3 { "device" } else { "group" },
                "pvt_deleted": kind == 4,
                "name": random.u32(..).to_string(),
                "color": if random.bool() { "red" } else { "blue" },
                "endpoints": endpoints,
            });
            other.put(account, &group, document);
        }
    }
}

/// Who listens to a list of an account's groups, and comes back whenever it was cut off.
#[derive(Default)]
struct Hearing {
    known: Known,
    listener: Option<Listener>,
}

impl Hearing {
    /// Listens until it knows these rows.
    fn must_know(&mut self, rows: &BTreeMap<String, Value>, app: &TestApp, account: &TestAccount, other: &Other) {
        let began = Instant::now();
        while self.known.rows != *rows {
            let listener = self.listener.get_or_insert_with(|| self.known.listen(app.address, account));
            let event = listener.next_within(Duration::from_secs(10));
            assert!(began.elapsed() < Duration::from_secs(9), "{:?} instead of {rows:?}", self.known.rows);
            match event.filter(|event| event.name != "end") {
                Some(event) => self.known.told(event),
                None => {
                    self.listener = None;
                    // that a document became one of another type while nobody listened, which Kazoo never makes, is not told
                    let is_group = |id: &String| other.get(account, id).is_none_or(|of| of["pvt_type"] == "group");
                    self.known.rows.retain(|id, _| is_group(id));
                }
            }
        }
    }
}

/// Waits until both services show the same, and who listens to the one knows it.
fn must_agree(
    following: &TestApp,
    straight: &TestApp,
    other: &Other,
    accounts: &[TestAccount],
    hearing: &mut [Hearing],
) {
    for (account, hearing) in accounts.iter().zip(hearing) {
        let began = Instant::now();
        loop {
            let (found, expected) = (shown(following, account), shown(straight, account));
            let Some(different) = found.iter().zip(&expected).find(|(found, expected)| found != expected) else {
                break;
            };
            assert!(began.elapsed() < Duration::from_secs(10), "{different:?}");
            sleep(Duration::from_millis(20));
        }
        hearing.must_know(&rows(straight.address, account, "groups"), following, account, other);
    }
}

#[test]
fn at_each_quiet_moment_what_is_kept_is_what_couchdb_holds() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let accounts = [test.account(), test.account(), test.account()];
    let other = Other::new(&url);
    let straight = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0"]);
    let mut following = TestApp::start(test.store(), &FOLLOW);
    // of an account without groups nothing is kept
    for account in &accounts {
        following.create(account, json!({"name": "first", "endpoints": {}}));
    }
    let mut random = fastrand::Rng::with_seed(5);
    let mut hearing: [Hearing; 3] = Default::default();
    let mut left = changes();
    let most_at_a_time = (left / 30).max(60);
    let mut rounds = 0;
    while left > 0 {
        rounds += 1;
        if rounds % 2 == 1 {
            until_followed(&following, &accounts);
        }
        for _ in 0..random.usize(1..most_at_a_time).min(left) {
            left -= 1;
            let account = random.choice(&accounts).unwrap();
            change(&other, account, &mut random);
            if random.usize(..4) == 0 {
                // a write by way of the service is seen at once
                let name = random.u32(..).to_string();
                let id = following.create(account, json!({"name": name, "endpoints": {}}));
                let found = following.get(&account.path(&format!("groups/{id}")), &account.token).json();
                assert_eq!(found["data"]["name"], name);
                let list = following.get(&account.path("groups?paginate=false"), &account.token).json();
                assert!(list["data"].as_array().unwrap().iter().any(|row| row["id"] == id), "{list}");
            }
        }
        must_agree(&following, &straight, &other, &accounts, &mut hearing);
        match random.usize(..10) {
            0 => following = TestApp::start(test.store(), &FOLLOW),
            1 => {
                other.make_anew(random.choice(&accounts).unwrap());
                must_agree(&following, &straight, &other, &accounts, &mut hearing);
            }
            _ => {}
        }
    }
    assert!(rounds > 4);
}

#[test]
fn an_account_that_is_always_written_is_followed_too() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let accounts = [test.account()];
    let other = Other::new(&url);
    let straight = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0"]);
    straight.create(&accounts[0], json!({"name": "first", "endpoints": {}}));
    let is_over = AtomicBool::new(false);
    let following = thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(7);
            while !is_over.load(Ordering::SeqCst) {
                change(&other, &accounts[0], &mut random);
            }
        });
        let following = TestApp::start(test.store(), &FOLLOW);
        until_followed(&following, &accounts);
        is_over.store(true, Ordering::SeqCst);
        following
    });
    must_agree(&following, &straight, &other, &accounts, &mut [Hearing::default()]);
}

#[test]
fn while_nothing_tells_of_changes_all_is_asked_of_couchdb() {
    let Some(url) = couchdb_url() else { return };
    let Followed { account, other, proxy, app, group, path, .. } = Followed::start(&url, "before", "1");
    let name = || app.get(&path, &account.token).json()["data"]["name"].clone();
    assert_eq!(name(), "before");

    proxy.cut();
    let began = Instant::now();
    // what is kept may be shown until it is known that nothing tells of changes any longer, and never after
    while app.get(&path, &account.token).status == 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "it goes on showing what it kept");
        sleep(Duration::from_millis(20));
    }
    let mut document = other.get(&account, &group).unwrap();
    document["name"] = json!("while it was cut");
    other.put(&account, &group, document);
    assert_eq!(app.get(&path, &account.token).status, 503);
    proxy.open();
    let began = Instant::now();
    while app.get(&path, &account.token).status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(50));
    }
    assert_eq!(name(), "while it was cut");
    assert!(app.metrics()["crossbar_databases_lost_total"] >= 1.0);
    until_followed(&app, std::slice::from_ref(&account));
    assert_eq!(name(), "while it was cut");
}

#[test]
fn a_feed_that_is_there_and_does_not_tell_is_not_believed_for_long() {
    let Some(url) = couchdb_url() else { return };
    let Followed { account, other, proxy, app, group, path, .. } = Followed::start(&url, "before", "1");
    proxy.mute_feeds();
    let mut document = other.get(&account, &group).unwrap();
    document["name"] = json!("since then");
    other.put(&account, &group, document);
    let began = Instant::now();
    while app.get(&path, &account.token).json()["data"]["name"] != "since then" {
        assert!(began.elapsed() < Duration::from_secs(15), "it goes on showing what it kept");
        sleep(Duration::from_millis(100));
    }
    assert!(app.metrics()["crossbar_databases_lost_total"] >= 1.0);
}

#[test]
fn what_is_kept_is_asked_of_nobody_and_seen_soon() {
    let Some(url) = couchdb_url() else { return };
    let Followed { account, other, proxy, app, group, path, .. } = Followed::start(&url, "0", "600");
    let ask_all = || {
        for path in ["groups", "groups?paginate=false", "groups?filter_name=0", &format!("groups/{group}")] {
            assert_eq!(app.get(&account.path(path), &account.token).status, 200);
        }
    };
    ask_all();
    let asks_nobody = || {
        let carried = proxy.carried();
        (0..5).for_each(|_| ask_all());
        proxy.carried() == carried
    };
    // every few seconds it is seen whether the feed tells all
    assert!(asks_nobody() || asks_nobody());

    let mut delays: Vec<Duration> = (1..=40)
        .map(|number| {
            let mut document = other.get(&account, &group).unwrap();
            let name = json!(number.to_string());
            document["name"] = name.clone();
            other.put(&account, &group, document);
            let written = Instant::now();
            while app.get(&path, &account.token).json()["data"]["name"] != name {
                assert!(written.elapsed() < Duration::from_secs(5), "it is not seen");
            }
            written.elapsed()
        })
        .collect();
    assert_eq!(app.metrics()["crossbar_databases_lost_total"], 0.0);
    delays.sort();
    println!("another's write is seen after {:?} at the median, {:?} at the most", delays[20], delays[39]);
    assert!(delays[20] < Duration::from_millis(500), "{delays:?}");
}

#[test]
fn an_account_whose_view_is_another_is_not_kept() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let account = test.account();
    let other = Other::new(&url);
    let map = "function(doc) { if (doc.pvt_type == 'group') emit(doc._id, {id: doc._id, ours: true}); }";
    let by_user = "function(doc) { if (doc.pvt_type == 'group') emit('u', {id: doc._id}); }";
    let views = json!({"crossbar_listing": {"map": map}, "crossbar_listing_by_user": {"map": by_user}});
    other.put(&account, "_design/groups", json!({"_id": "_design/groups", "language": "javascript", "views": views}));
    let app = TestApp::start(test.store(), &FOLLOW);
    assert_eq!(app.send("PUT", &account.path("groups"), &account.token, named("a")).status, 201);
    let began = Instant::now();
    while app.metrics()["crossbar_databases_lost_total"] < 1.0 {
        let list = app.get(&account.path("groups"), &account.token).json();
        assert_eq!(list["data"][0]["ours"], true, "{list}");
        assert!(began.elapsed() < Duration::from_secs(10));
        sleep(Duration::from_millis(50));
    }
    assert_eq!(app.metrics()["crossbar_databases_followed"], 0.0);
}
