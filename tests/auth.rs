//! Tokens and sign-in: what ends a token, who is refused, and that a token writes nothing.

mod common;

use std::time::{Duration, Instant};

use common::{Kind, TestAccount, TestApp, TestStore, block_on, document};
use serde_json::{Value, json};

use crossbar_groups::document::{DbName, DocId, Document};
use crossbar_groups::store::SharedStore;

/// How long the service remembers what it read, in these tests.
const REMEMBERED: &str = "0.2";

fn start(test: &TestStore) -> TestApp {
    TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", REMEMBERED])
}

/// Asks until the status is `want`: what was remembered takes a moment to be forgotten.
fn becomes(app: &TestApp, path: &str, token: &str, want: u16) {
    let started = Instant::now();
    loop {
        let status = app.get(path, token).status;
        if status == want {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{path} is still {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Changes a document of the account's database.
fn change(store: &SharedStore, account: &TestAccount, id: &str, fields: Value) {
    let id: DocId = id.parse().unwrap();
    block_on(async {
        let mut changed = store.get(&account.database(), &id).await.unwrap().unwrap();
        changed.extend(document(fields));
        store.put(&account.database(), &changed).await.unwrap();
    });
}

#[test]
fn a_new_secret_ends_the_tokens_of_its_user() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (credentials, realm) = test.credentials(&account);
        let app = start(&test);
        let (status, answer) = app.sign_in(&credentials, &realm);
        assert_eq!(status, 201, "{answer}");
        let token = answer["auth_token"].as_str().unwrap();
        let list = account.path("groups");
        assert_eq!(app.get(&list, token).status, 200);

        change(&test.store(), &account, account.user.as_str(), json!({"pvt_signature_secret": "another"}));
        becomes(&app, &list, token, 401);
        let (_, answer) = app.sign_in(&credentials, &realm);
        assert_eq!(app.get(&list, answer["auth_token"].as_str().unwrap()).status, 200);
    }
}

#[test]
fn a_user_without_a_secret_gets_one_and_nothing_else_changes() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (credentials, realm) = test.credentials(&account);
        let store = test.store();
        let read = || block_on(store.get(&account.database(), &account.user)).unwrap().unwrap();
        let mut user = read();
        user.remove("pvt_signature_secret");
        block_on(store.put(&account.database(), &user)).unwrap();
        let before = read();

        let app = start(&test);
        let (status, answer) = app.sign_in(&credentials, &realm);
        assert_eq!(status, 201, "{answer}");
        assert_eq!(app.get(&account.path("groups"), answer["auth_token"].as_str().unwrap()).status, 200);
        let mut after = read();
        assert_eq!(after.remove("pvt_signature_secret").unwrap().get().len(), 34);
        let comparable = |mut document: Document| {
            document.remove("_rev");
            document.to_json()
        };
        assert_eq!(comparable(after), comparable(before));
    }
}

#[test]
fn disabled_and_expired_accounts_are_refused() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (credentials, realm) = test.credentials(&account);
    let app = start(&test);
    let id = account.id.as_str();
    for (fields, rule, detail) in [
        (json!({"pvt_enabled": false}), "disabled", json!({"message": "account disabled"})),
        (
            json!({"pvt_enabled": true, "pvt_trial_expires": 63000000000_i64}),
            "expired",
            json!({"message": "account expired", "cause": 63000000000_i64}),
        ),
    ] {
        change(&test.store(), &account, id, fields);
        std::thread::sleep(Duration::from_millis(300));
        let (status, answer) = app.sign_in(&credentials, &realm);
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["data"], json!({"account": {rule: detail}}));
        assert_eq!(answer["message"], "validation error");
    }
    // of an expired account, the tokens that there are end too
    let answer = app.get(&account.path("groups"), &account.token);
    assert_eq!(answer.status, 400);
    assert!(answer.json()["data"]["account"]["expired"].is_object());
}

#[test]
fn a_deleted_user_has_no_token() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = start(&test);
    assert_eq!(app.get(&account.path("groups"), &account.token).status, 200);
    change(&test.store(), &account, account.user.as_str(), json!({"pvt_deleted": true}));
    becomes(&app, &account.path("groups"), &account.token, 401);
}

#[test]
fn made_up_keys_write_nothing() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (store, app) = (test.store(), start(&test));
        let system_auth: DbName = "system_auth".parse().unwrap();
        let dump = || {
            let documents = block_on(store.dump(&system_auth, None, 1000)).unwrap().unwrap();
            documents.iter().map(Document::to_json).collect::<Vec<_>>()
        };
        let before = dump();
        for kid in
            ["ffffffffffffffffffffffffffffffff", "_all_docs", "../accounts", "", "90a960a798d9c9fd26dbce6745958214"]
        {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "typ": "JWT", "kid": kid}).to_string());
            let claims = json!({"iss": "kazoo", "account_id": account.id.as_str()}).to_string();
            let token = format!("{header}.{}.{}", URL_SAFE_NO_PAD.encode(claims), URL_SAFE_NO_PAD.encode("no"));
            let answer = app.get(&account.path("groups"), &token);
            assert_eq!(answer.status, 401, "{kid}");
            assert_eq!(answer.json()["auth_token"], token);
        }
        assert_eq!(dump(), before);
    }
}

#[test]
fn sign_ins_are_limited_and_told_when_to_come_back() {
    let test = TestStore::new(Kind::Embedded);
    let app = TestApp::start(test.store(), &[]);
    let data = json!({"data": {"credentials": "00", "account_name": "nobody"}});
    let answers: Vec<_> = (0..4).map(|_| app.send("PUT", "/v2/user_auth", "", Some(data.clone()))).collect();
    assert_eq!(answers[0].status, 401);
    let last = &answers[3];
    assert_eq!(last.status, 429);
    assert_eq!(last.json()["message"], "too_many_requests");
    assert_eq!(last.json()["data"]["message"], "too many requests");
    let seconds: u64 = last.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=4).contains(&seconds));
}
