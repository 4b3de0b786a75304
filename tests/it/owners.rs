//! Owners' rights: where they are switched on, who is no admin sees the groups that they are a member of, and no others.

use serde_json::{Value, json};

use crate::common::listener::Listener;
use crate::common::{Kind, TestAccount, TestApp, TestStore, named, new_id, put};
use crossbar_groups::document::DocId;

const CONFIG: &str = "configs_crossbar.owner_authz";

/// The service, which remembers nothing for long, and an account with a group of its user and one of nobody's.
struct Place {
    test: TestStore,
    app: TestApp,
    account: TestAccount,
}

impl Place {
    fn new(kind: Kind) -> Self {
        let test = TestStore::new(kind);
        let account = test.account();
        let groups =
            [("mine", json!({account.user.as_str(): {"type": "user"}})), ("theirs", json!({"x": {"type": "user"}}))];
        for (id, endpoints) in groups {
            let group = json!({"_id": id, "pvt_type": "group", "name": id, "endpoints": endpoints});
            put(&test.store(), &account.database(), group);
        }
        let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0"]);
        Self { test, app, account }
    }

    fn say(&self, config: Value) {
        let mut document = json!({"_id": CONFIG, "pvt_type": "account_config"});
        document.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        put(&self.test.store(), &self.account.database(), document);
    }

    fn user(&self, fields: Value) {
        let mut user = json!({
            "_id": self.account.user.as_str(), "pvt_type": "user", "enabled": true, "pvt_signature_secret": "secret",
        });
        user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        put(&self.test.store(), &self.account.database(), user);
    }

    fn status(&self, method: &str, path: &str) -> u16 {
        let body = matches!(method, "PUT" | "POST" | "PATCH").then(|| named("mine").unwrap());
        self.app.send(method, &self.account.path(path), &self.account.token, body).status
    }

    fn listed(&self, path: &str) -> Vec<String> {
        let answer = self.app.get(&self.account.path(path), &self.account.token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rows = answer.json()["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn they_are_off_until_they_are_switched_on() {
    for kind in Kind::all() {
        let place = Place::new(kind);
        assert_eq!(place.listed("groups").len(), 2);
        place.say(json!({"general_endpoint_mode": "reject"}));
        assert_eq!(place.listed("groups").len(), 2);
        assert_eq!(place.status("GET", "groups/theirs"), 200);
    }
}

#[test]
fn lists_are_filtered_or_refused_and_groups_are_their_members() {
    for kind in Kind::all() {
        let place = Place::new(kind);
        let own = format!("users/{}/groups", place.account.user);
        let other: DocId = new_id();
        put(&place.test.store(), &place.account.database(), json!({"_id": other.as_str(), "pvt_type": "user"}));
        place.say(json!({"should_restrict_access_to_owner": true}));
        assert_eq!(place.listed("groups"), ["mine"]);
        assert_eq!(place.listed("groups?paginate=false"), ["mine"]);
        assert_eq!(place.listed(&own), ["mine"]);
        assert_eq!(place.status("GET", &format!("users/{other}/groups")), 403);
        for (group, status) in [("mine", 200), ("theirs", 403), ("nobody", 404)] {
            assert_eq!(place.status("GET", &format!("groups/{group}")), status, "{group}");
            // they would tell of others' groups, devices and callflows
            for path in ["rings", "used_by"] {
                assert_eq!(place.status("GET", &format!("groups/{group}/{path}")), 403, "{group} {path}");
            }
        }
        for method in ["POST", "PATCH", "DELETE"] {
            assert_eq!(place.status(method, "groups/theirs"), 403, "{method}");
        }
        assert_eq!(place.status("PUT", "groups"), 201, "the fork lets them, too");
        let forbidden = place.app.get(&place.account.path("groups/theirs"), &place.account.token).json();
        assert_eq!((&forbidden["message"], &forbidden["error"]), (&json!("forbidden"), &json!("403")));

        place.say(json!({"should_restrict_access_to_owner": "true", "general_endpoint_mode": "reject"}));
        assert_eq!((place.status("GET", "groups"), place.status("PUT", "groups")), (403, 403));
        assert_eq!(place.listed(&own), ["mine"]);

        place.user(json!({"priv_level": "admin"}));
        assert!(place.listed("groups").len() > 2);
        assert_eq!(place.status("GET", "groups/theirs"), 200);
        place.user(json!({"priv_level": "user"}));
        assert_eq!(place.status("DELETE", "groups/mine"), 200);
        assert_eq!(place.status("GET", "groups/mine"), 404);
    }
}

#[test]
fn a_token_of_no_user_and_an_account_below_are_as_the_fork_has_them() {
    for kind in Kind::all() {
        let place = Place::new(kind);
        place.say(json!({"should_restrict_access_to_owner": true}));
        // the account of the token says it, not the one that is asked about
        let other = place.test.account();
        put(
            &place.test.store(),
            &other.database(),
            json!({"_id": "g", "pvt_type": "group", "name": "g", "endpoints": {}}),
        );
        let answer = place.app.get(&other.path("groups/g"), &other.token);
        assert_eq!(answer.status, 200);
        // an account without a word of its own has its reseller's
        let reseller = place.account.id.as_str();
        put(
            &place.test.store(),
            &place.account.database(),
            json!({
                "_id": reseller, "pvt_type": "account", "pvt_tree": [], "pvt_enabled": true, "pvt_reseller": true,
            }),
        );
        put(
            &place.test.store(),
            &other.database(),
            json!({
                "_id": other.id.as_str(), "pvt_type": "account", "pvt_tree": [reseller], "pvt_enabled": true,
            }),
        );
        assert_eq!(place.app.get(&other.path("groups/g"), &other.token).status, 403);
        // the user of the account above has no group there
        let below = place.app.get(&other.path("groups"), &place.account.token);
        assert_eq!((below.status, &below.json()["data"]), (200, &json!([])));
    }
}

#[test]
fn who_listens_is_told_of_their_own() {
    for kind in Kind::all() {
        let place = Place::new(kind);
        place.say(json!({"should_restrict_access_to_owner": true}));
        let mut listener =
            Listener::start(place.app.address, &place.account.path("groups"), &place.account.token, None);
        let told = listener.until("live");
        assert_eq!(told.iter().filter(|event| event.name == "listed").count(), 1, "{told:?}");
        place.say(json!({"should_restrict_access_to_owner": true, "general_endpoint_mode": "reject"}));
        let ended = listener.until("end");
        assert_eq!(ended.last().unwrap().data["reason"], "unauthorized");
    }
}
