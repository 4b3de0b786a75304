//! `GET …/groups/_deleted` and `POST …/groups/{id}/restore`: what was deleted is told, and brought back by who may write it.

use serde_json::{Value, json};

use crate::common::listener::Listener;
use crate::common::{Kind, TestAccount, TestApp, TestStore, client, named, put};

fn restore(app: &TestApp, account: &TestAccount, id: &str) -> client::Response {
    app.send("POST", &account.path(&format!("groups/{id}/restore")), &account.token, None)
}

/// The rows of `…/_deleted`.
fn deleted(app: &TestApp, account: &TestAccount, of: &str) -> Vec<Value> {
    let answer = app.get(&account.path(&format!("{of}groups/_deleted")), &account.token);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().clone()
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn what_was_deleted_is_listed_and_restored_as_it_was() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let user = account.user.as_str();
        let ann = json!({
            "_id": user, "pvt_type": "user", "enabled": true, "pvt_signature_secret": "secret", "first_name": "Ann",
        });
        put(&test.store(), &account.database(), ann);
        let app = TestApp::unlimited(test.store());
        assert!(deleted(&app, &account, "").is_empty());
        let read = r#"crossbar_store_calls_total{call="dump",outcome="ok"}"#;
        assert_eq!(app.metrics()[read], 1.0, "many documents are read in a request");
        let endpoints = json!({user: {"type": "user", "weight": 1.50}});
        let group = app.create(&account, json!({"name": "Front desk", "endpoints": endpoints, "flags": ["a"]}));
        let other = app.create(&account, json!({"name": "Other", "endpoints": {}}));
        let path = account.path(&format!("groups/{group}"));
        let before = app.get(&path, &account.token).json();
        let mut listener = Listener::start(app.address, &account.path("groups"), &account.token, None);
        listener.until("live");
        for id in [&group, &other] {
            assert_eq!(app.send("DELETE", &account.path(&format!("groups/{id}")), &account.token, None).status, 200);
            listener.until("deleted");
        }

        let rows = deleted(&app, &account, "");
        assert_eq!(rows.len(), 2);
        let row = rows.iter().find(|row| row["id"] == group.as_str()).unwrap();
        let by = json!({"account": account.id.as_str(), "user": user, "name": "Ann"});
        assert_eq!((&row["name"], &row["endpoints"], &row["by"]), (&json!("Front desk"), &json!(1), &by));
        assert!(row["deleted"].as_str().unwrap().ends_with('Z'), "{row}");
        assert_eq!(ids(&deleted(&app, &account, &format!("users/{user}/"))), [group.as_str()]);

        // over a revision that it no longer has it is not restored
        let headers = [("X-Auth-Token", account.token.as_str()), ("If-Match", "\"1-0\"")];
        let stale = client::send(app.address, "POST", &format!("{path}/restore"), &headers, None).unwrap();
        assert_eq!(stale.status, 412);
        let answer = restore(&app, &account, &group);
        assert_eq!((answer.status, &answer.json()["data"]), (200, &before["data"]), "{}", answer.text());
        assert!(answer.json()["revision"].as_str().unwrap().starts_with("3-"));
        assert_eq!(listener.until("created").pop().unwrap().row_id(), group);
        assert_eq!(app.get(&path, &account.token).json()["data"], before["data"]);
        assert_eq!(ids(&deleted(&app, &account, "")), [other.as_str()]);

        for missing in [group.as_str(), "nobody", user, "_deleted"] {
            assert_eq!(restore(&app, &account, missing).status, 404, "{missing}");
        }
        for (method, path) in [("GET", "groups/x/restore"), ("PUT", "groups/_deleted"), ("DELETE", "groups/_deleted")] {
            assert_eq!(app.send(method, &account.path(path), &account.token, None).status, 405, "{method} {path}");
        }
        assert_eq!(app.get(&account.path("groups/_deleted"), "").status, 401);
    }
}

#[test]
fn who_is_of_an_account_above_is_not_told() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let app = TestApp::unlimited(test.store());
        let (above, user) = ("b".repeat(32), "c".repeat(32));
        let group = json!({
            "_id": "gone", "pvt_type": "group", "name": "Gone", "pvt_deleted": true, "pvt_modified": 63_935_308_800_i64,
            "pvt_auth_account_id": above, "pvt_auth_user_id": user,
        });
        put(&test.store(), &account.database(), group);
        let answer = app.get(&account.path("groups/_deleted"), &account.token);
        assert_eq!(answer.json()["data"][0]["deleted"], "2026-01-11T00:00:00Z");
        assert!(!answer.text().contains(&above) && !answer.text().contains(&user), "{}", answer.text());
    }
}

#[test]
fn only_who_may_write_a_group_restores_it() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let user = account.user.as_str();
        let groups = [("mine", json!({user: {"type": "user"}})), ("theirs", json!({"x": {"type": "user"}}))];
        for (id, endpoints) in groups {
            let group =
                json!({"_id": id, "pvt_type": "group", "name": id, "endpoints": endpoints, "pvt_deleted": true});
            put(&test.store(), &account.database(), group);
        }
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0"]);

        // a token that may read alone
        let say = |document: Value| put(&test.store(), &account.database(), document);
        let rules = |rules: Value| {
            let of_all = json!({"_": {"_": {"groups": [{"rules": rules}]}}});
            json!({"_id": "token_restrictions", "restrictions": of_all})
        };
        say(rules(json!({"#": ["GET"]})));
        assert_eq!(ids(&deleted(&app, &account, "")).len(), 2);
        assert_eq!(restore(&app, &account, "mine").status, 403);
        say(rules(json!({"#": ["_"]})));

        // owners' rights: what is theirs alone, in the list too
        say(json!({
            "_id": "configs_crossbar.owner_authz", "pvt_type": "account_config", "should_restrict_access_to_owner": true,
        }));
        assert_eq!(ids(&deleted(&app, &account, "")), ["mine"]);
        assert_eq!(restore(&app, &account, "theirs").status, 403);
        assert_eq!(restore(&app, &account, "mine").status, 200);
        assert_eq!(app.send("PATCH", &account.path("groups/mine"), &account.token, named("mine")).status, 200);
    }
}
