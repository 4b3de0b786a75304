//! Beside live Kazoo nodes: a second writer plays one, over CouchDB's own HTTP, and each side sees what the other did.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{
    Kind, NO_COUCHDB, TestAccount, TestApp, TestStore, block_on, couchdb_url, database_url, recording,
};

/// A Kazoo node, as far as CouchDB sees one: it reads and writes whole documents by their revisions.
struct KazooNode {
    base: String,
}

impl KazooNode {
    fn of(url: &str, account: &TestAccount) -> Self {
        Self { base: database_url(url, account.database().as_str()) }
    }

    fn read(&self, id: &str) -> Value {
        block_on(async {
            let answer = reqwest::get(format!("{}/{id}", self.base)).await.unwrap();
            serde_json::from_str(&answer.text().await.unwrap()).unwrap()
        })
    }

    /// Gives CouchDB's status.
    fn write(&self, document: &Value) -> u16 {
        block_on(async {
            let client = reqwest::Client::new();
            let url = format!("{}/{}", self.base, document["_id"].as_str().unwrap());
            let put = client.put(url).header("Content-Type", "application/json").body(document.to_string());
            put.send().await.unwrap().status().as_u16()
        })
    }

    /// Changes fields of a document as it is now.
    fn change(&self, id: &str, fields: &[(&str, Value)]) {
        let mut document = self.read(id);
        for (key, value) in fields {
            document[*key] = value.clone();
        }
        assert_eq!(self.write(&document), 201);
    }
}

fn with_kazoo(test: impl Fn(&TestApp, &TestAccount, &KazooNode)) {
    let Some(url) = couchdb_url() else { return };
    let store = TestStore::new(Kind::Couch(url.clone()));
    let account = store.account();
    let app = TestApp::unlimited(store.store());
    test(&app, &account, &KazooNode::of(&url, &account));
}

fn ids(app: &TestApp, account: &TestAccount) -> Vec<String> {
    let list = app.get(&account.path("groups"), &account.token).json();
    list["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_kazoo_writes_is_seen_here() {
    with_kazoo(|app, account, kazoo| {
        let id = "0123456789abcdef0123456789abcdef";
        let (one, token) = (account.path(&format!("groups/{id}")), &account.token);
        let group = json!({"_id": id, "name": "theirs", "endpoints": {}, "pvt_type": "group", "odd": {"kept": [1.5]}});
        assert_eq!(kazoo.write(&group), 201);
        assert_eq!(app.get(&one, token).json()["data"]["name"], "theirs");
        assert_eq!(ids(app, account), [id]);

        kazoo.change(id, &[("name", json!("edited"))]);
        assert_eq!(app.get(&one, token).json()["data"]["name"], "edited");

        kazoo.change(id, &[("pvt_deleted", json!(true))]);
        assert_eq!(app.get(&one, token).status, 404);
        assert!(ids(app, account).is_empty());

        kazoo.change(id, &[("pvt_deleted", json!(false))]);
        assert_eq!(app.get(&one, token).json()["data"]["odd"], json!({"kept": [1.5]}));
        assert_eq!(ids(app, account), [id]);
    });
}

#[test]
fn what_is_written_here_is_seen_by_kazoo() {
    with_kazoo(|app, account, kazoo| {
        let token = &account.token;
        let data = |fields: Value| Some(json!({ "data": fields }));
        let made = app.send("PUT", &account.path("groups"), token, data(json!({"name": "ours", "endpoints": {}})));
        let id = made.json()["data"]["id"].as_str().unwrap().to_owned();
        let stored = kazoo.read(&id);
        assert_eq!(stored["_rev"], made.json()["revision"]);
        assert_eq!((&stored["name"], &stored["pvt_type"]), (&json!("ours"), &json!("group")));

        // what Kazoo keeps in private fields stays through our writes
        kazoo.change(&id, &[("pvt_kazoo_only", json!({"b": 1, "a": [null]}))]);
        let one = account.path(&format!("groups/{id}"));
        app.send("POST", &one, token, data(json!({"name": "replaced", "endpoints": {}})));
        app.send("PATCH", &one, token, data(json!({"flags": ["x"]})));
        let stored = kazoo.read(&id);
        assert_eq!((&stored["name"], &stored["flags"]), (&json!("replaced"), &json!(["x"])));
        assert_eq!(stored["pvt_kazoo_only"], json!({"b": 1, "a": [null]}));

        assert_eq!(app.send("DELETE", &one, token, None).status, 200);
        let stored = kazoo.read(&id);
        assert_eq!((&stored["pvt_deleted"], &stored["name"]), (&json!(true), &json!("replaced")));
    });
}

#[test]
fn of_two_writers_one_is_told_and_nothing_is_lost() {
    with_kazoo(|app, account, kazoo| {
        let token = &account.token;
        let id = "0123456789abcdef0123456789abcdef";
        let create = Some(json!({"data": {"id": id, "name": "first", "endpoints": {}}}));
        assert_eq!(app.send("PUT", &account.path("groups"), token, create.clone()).status, 201);
        let again = app.send("PUT", &account.path("groups"), token, create);
        assert_eq!(again.status, 409);
        assert_eq!(again.json()["message"], "datastore_conflict");
        assert_eq!(again.json()["data"], json!({"message": "conflicting documents"}));

        // a node that read before we wrote is refused by CouchDB, and ours stays
        let stale = kazoo.read(id);
        let one = account.path(&format!("groups/{id}"));
        let ours = Some(json!({"data": {"name": "second", "endpoints": {}}}));
        assert_eq!(app.send("POST", &one, token, ours).status, 200);
        assert_eq!(kazoo.write(&stale), 409);
        assert_eq!(kazoo.read(id)["name"], "second");

        // both change the group at the same time, often: each change that was answered is there
        let patched = 30;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..patched {
                    let change = Some(json!({"data": {"ours": {format!("{number}"): true}}}));
                    assert_eq!(app.send("PATCH", &one, token, change).status, 200);
                }
            });
            for number in 0..patched {
                loop {
                    let mut document = kazoo.read(id);
                    document[format!("pvt_theirs_{number}")] = json!(true);
                    if kazoo.write(&document) == 201 {
                        break;
                    }
                }
            }
        });
        let stored = kazoo.read(id);
        for number in 0..patched {
            assert_eq!(stored["ours"][number.to_string()], true, "{number}");
            assert_eq!(stored[format!("pvt_theirs_{number}")], true, "{number}");
        }
    });
}

#[test]
fn without_couchdb_clients_are_told_so_in_bounded_time() {
    let app = TestApp::before(&[NO_COUCHDB]);
    let variables = recording::variables();
    let started = Instant::now();
    let answer = app.get(&format!("/v2/accounts/{}/groups", variables["B"]), &variables["TB"]);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    let told = answer.json();
    assert_eq!(told["message"], "datastore_unreachable");
    assert_eq!(told["data"], json!({"message": "datastore unreachable"}));
    assert_eq!(told["error"], "503");
}
