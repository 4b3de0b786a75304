//! Tokens and sign-in: what ends a token, who is refused, and that a token writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::{Kind, TestAccount, TestApp, TestStore, block_on, document, new_id, put};
use crossbar_groups::databases::prepare;
use crossbar_groups::document::{DbName, DocId, Document};
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::store::{Attachments, SharedServer};

/// How long the service remembers what it read, in most of these tests.
const REMEMBERED: &str = "0.2";

fn start(test: &TestStore) -> TestApp {
    remembering(test, REMEMBERED)
}

fn remembering(test: &TestStore, seconds: &str) -> TestApp {
    TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", seconds])
}

fn user_auth(settings: Value) -> Value {
    json!({"_id": "configs_crossbar.auth", "auth_modules": {"cb_user_auth": settings}})
}

/// What a token claims.
fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

fn basic(account: &TestAccount, credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{credentials}", account.id)))
}

/// Asks with `Authorization`; gives the answer.
fn authorized(app: &TestApp, method: &str, path: &str, authorization: &str, body: Option<&str>) -> Response {
    let headers = [("Authorization", authorization), ("Content-Type", "application/json")];
    client::send(app.address, method, path, &headers, body.map(str::as_bytes)).unwrap()
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
fn change(store: &SharedServer, account: &TestAccount, id: &str, fields: Value) {
    let id: DocId = id.parse().unwrap();
    block_on(async {
        let mut changed = Arc::unwrap_or_clone(store.get(&account.database(), &id).await.unwrap().unwrap());
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
        let read = || Arc::unwrap_or_clone(block_on(store.get(&account.database(), &account.user)).unwrap().unwrap());
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
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (store, app) = (test.store(), start(&test));
        let system_auth: DbName = "system_auth".parse().unwrap();
        let dump = || {
            let documents = block_on(store.dump(&system_auth, None, 1000, Attachments::Inline)).unwrap().unwrap();
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
fn token_restrictions_hold_for_every_resource() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (store, app) = (test.store(), start(&test));
        change(&store, &account, account.user.as_str(), json!({"priv_level": "user"}));
        let read_only = json!({"_": {"user": {"groups": [{"rules": {"/": ["GET"], "*": ["GET"]}}]}}});
        put(&store, &account.database(), json!({"_id": "token_restrictions", "restrictions": read_only}));
        let groups = account.path("groups");
        let group = Some(json!({"data": {"name": "x", "endpoints": {}}}));
        for (method, path, body, status) in [
            ("GET", groups.as_str(), None, 200),
            ("PUT", &groups, group.clone(), 403),
            ("PUT", &groups, Some(json!({"data": {"name": ""}})), 403),
            ("PATCH", &account.path("groups/none"), group.clone(), 403),
            ("POST", &account.path("groups/none"), Some(json!({"data": {}, "verb": "delete"})), 403),
            ("GET", &account.path("groups/none"), None, 404),
            ("GET", "/v2/schemas/groups", None, 403),
            ("GET", "/v2/about", None, 403),
        ] {
            let answer = app.send(method, path, &account.token, body);
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
            if status == 403 {
                let data = json!({"cause": "access denied by token restrictions", "message": "forbidden"});
                assert_eq!(answer.json()["data"], data);
            }
        }
        // who has another level is not restricted by these rules, and nothing that is remembered refuses
        change(&store, &account, account.user.as_str(), json!({"priv_level": "admin"}));
        assert_eq!(app.send("PUT", &groups, &account.token, group).status, 201);
    }
}

#[test]
fn restrictions_that_can_not_be_read_are_a_fault() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (store, app) = (test.store(), start(&test));
    for malformed in [json!("none"), json!({"_": "none"}), json!({"_": {"_": ["groups"]}})] {
        put(&store, &account.database(), json!({"_id": "token_restrictions", "restrictions": malformed}));
        becomes(&app, &account.path("groups"), &account.token, 503);
    }
}

#[test]
fn a_second_factor_is_not_left_out() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let (account, other) = (test.account(), test.account());
        let ((credentials, realm), (_, _)) = (test.credentials(&account), test.credentials(&other));
        let app = start(&test);
        let groups = account.path("groups");
        assert_eq!(authorized(&app, "GET", &groups, &basic(&account, &credentials), None).status, 200);
        let factor = json!({"multi_factor": {"enabled": true, "account_id": account.id.as_str()}});
        put(&test.store(), &account.database(), user_auth(factor));
        std::thread::sleep(Duration::from_millis(300));
        let (status, answer) = app.sign_in(&credentials, &realm);
        assert_eq!((status, &answer["message"]), (401, &json!("invalid_credentials")), "{answer}");
        assert!(!answer["auth_token"].as_str().unwrap().contains('.'), "{answer}");
        assert_eq!(authorized(&app, "GET", &groups, &basic(&account, &credentials), None).status, 401);
        // the tokens that there are go on
        assert_eq!(app.get(&groups, &account.token).status, 200);
    }
}

#[test]
fn a_way_of_signing_in_that_is_switched_off_lets_nobody_in() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (credentials, realm) = test.credentials(&account);
    let (store, app) = (test.store(), start(&test));
    let key_text = "k".repeat(64);
    let keyed = json!({
        "_id": account.id.as_str(), "pvt_type": "account", "realm": realm, "pvt_account_id": account.id.as_str(),
        "pvt_api_key": key_text,
    });
    put(&store, &"accounts".parse().unwrap(), keyed);
    let key = Some(json!({"data": {"api_key": key_text}}));
    assert_eq!(app.send("PUT", "/v2/api_auth", "", key.clone()).status, 201);

    let off = json!({"cb_user_auth": {"enabled": false}, "cb_api_auth": {"enabled": false}});
    put(&store, &account.database(), json!({"_id": "configs_crossbar.auth", "auth_modules": off}));
    std::thread::sleep(Duration::from_millis(300));
    for (status, answer) in [app.sign_in(&credentials, &realm), {
        let answer = app.send("PUT", "/v2/api_auth", "", key);
        (answer.status, answer.json())
    }] {
        assert_eq!(status, 401, "{answer}");
        assert_eq!((&answer["data"], &answer["message"]), (&json!({}), &json!("invalid credentials")));
        assert_eq!(answer["page_size"], 1);
    }
}

#[test]
fn a_token_lives_as_long_as_its_account_says() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (credentials, realm) = test.credentials(&account);
    let app = start(&test);
    for (settings, seconds) in [(json!({}), 3600), (json!({"token_auth_expiry_s": 900}), 900)] {
        put(&test.store(), &account.database(), user_auth(settings));
        std::thread::sleep(Duration::from_millis(300));
        let (status, answer) = app.sign_in(&credentials, &realm);
        assert_eq!(status, 201, "{answer}");
        let expires = claims(answer["auth_token"].as_str().unwrap())["exp"].as_i64().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!((expires - now - seconds).abs() < 60, "{}", expires - now);
    }
}

#[test]
fn nothing_remembered_refuses() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (credentials, realm) = test.credentials(&account);
        // whatever is read is remembered longer than this test takes
        let app = remembering(&test, "3600");
        let (groups, store) = (account.path("groups"), test.store());
        assert_eq!(app.get(&groups, &account.token).status, 200);
        for secret in ["a new one", "and another"] {
            // Kazoo gives a user who has a new password a new secret
            change(&store, &account, account.user.as_str(), json!({"pvt_signature_secret": secret}));
            let (status, answer) = app.sign_in(&credentials, &realm);
            assert_eq!(status, 201, "{answer}");
            let token = answer["auth_token"].as_str().unwrap();
            assert_eq!(app.get(&groups, token).status, 200, "the first time");
        }
        assert_eq!(app.get(&groups, &account.token).status, 401, "of the secret before");

        // a trial that had ended goes on
        change(&store, &account, account.id.as_str(), json!({"pvt_trial_expires": 63_000_000_000_i64}));
        let fresh = remembering(&test, "3600");
        let (_, answer) = app.sign_in(&credentials, &realm);
        let token = answer["auth_token"].as_str().unwrap_or_default().to_owned();
        assert_eq!(fresh.get(&groups, &token).status, 400);
        change(&store, &account, account.id.as_str(), json!({"pvt_trial_expires": 99_000_000_000_i64}));
        assert_eq!(fresh.get(&groups, &token).status, 200);

        // an account that was not there is there
        let id: AccountId = new_id();
        let path = format!("/v2/accounts/{id}/groups");
        assert_eq!(app.get(&path, &token).status, 404);
        let below = json!({
            "_id": id.as_str(), "name": "Below", "pvt_type": "account", "pvt_enabled": true,
            "pvt_tree": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", account.id.as_str()],
        });
        block_on(async {
            prepare(store.as_ref(), &id.database()).await.unwrap();
            store.load(&id.database(), vec![document(below)]).await.unwrap();
        });
        assert_eq!(app.get(&path, &token).status, 200);
    }
}

#[test]
fn bad_tokens_are_no_flood_of_reads() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = remembering(&test, "3600");
    let groups = account.path("groups");
    assert_eq!(app.get(&groups, &account.token).status, 200);
    let reads = || {
        let metrics = app.metrics();
        let calls = metrics.iter().filter(|(name, _)| name.starts_with("crossbar_store_calls_total"));
        calls.map(|(_, count)| *count as u64).sum::<u64>()
    };
    let before = reads();
    // of a key that is there, but not signed by it
    let header = account.token.split('.').next().unwrap();
    let claims = URL_SAFE_NO_PAD.encode(json!({"iss": "kazoo", "account_id": account.id.as_str()}).to_string());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (app, groups, header, claims) = (&app, &groups, &header, &claims);
            scope.spawn(move || {
                for number in 0..50 {
                    let token = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(format!("{thread} {number}")));
                    assert_eq!(app.get(groups, &token).status, 401);
                }
            });
        }
    });
    // each read anew comes at least 50 ms after the one before
    let most = 2 + started.elapsed().as_millis() as u64 / 50;
    assert!(reads() - before <= most, "{} reads for 400 bad tokens, at most {most}", reads() - before);
}

#[test]
fn made_up_names_cost_few_reads_and_hold_up_nobody() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let (account, newcomer) = (test.account(), test.account());
        let app = remembering(&test, "3600");
        let groups = account.path("groups");
        assert_eq!(app.get(&groups, &account.token).status, 200);
        let reads = || {
            let metrics = app.metrics();
            let is_read = |name: &str| {
                name.starts_with("crossbar_store_calls_total")
                    && ["get", "attachment"].iter().any(|call| name.contains(&format!("\"{call}\"")))
            };
            metrics.iter().filter(|(name, _)| is_read(name)).map(|(_, count)| *count as u64).sum::<u64>()
        };
        let (before, started) = (reads(), Instant::now());
        let claims = URL_SAFE_NO_PAD.encode(json!({"iss": "kazoo", "account_id": account.id.as_str()}).to_string());
        let of_made_up_key = || {
            let header = json!({"alg": "RS256", "typ": "JWT", "kid": new_id::<String>()}).to_string();
            format!("{}.{claims}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("no"))
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        let answer = app.get(&groups, &of_made_up_key());
                        let told = answer.header("retry-after").is_some();
                        assert!(matches!((answer.status, told), (401, false) | (429, true)), "{}", answer.status);
                        let answer = app.get(&format!("/v2/accounts/{}/groups", new_id::<String>()), "");
                        assert!(matches!(answer.status, 401 | 404), "{}", answer.status);
                    }
                });
            }
            scope.spawn(|| {
                for number in 0..200 {
                    assert_eq!(app.get(&groups, &account.token).status, 200, "{number}");
                    assert_eq!(app.get(&groups, "").status, 401);
                }
                // nothing of it was ever read, and the same address has made up many names
                assert_eq!(app.get(&newcomer.path("groups"), &newcomer.token).status, 200);
            });
        });
        // what a stranger may look for, and what the newcomer takes
        let most = 20 + 2 * started.elapsed().as_secs() + 10;
        assert!(reads() - before <= most, "{} reads for 2,000 made-up names, at most {most}", reads() - before);
    }
}

#[test]
fn who_has_a_token_finds_all_accounts_there_are_and_few_that_are_not() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let app = remembering(&test, "3600");
    let others: Vec<TestAccount> = (0..5).map(|_| test.account()).collect();
    let are_found = || {
        for other in &others {
            assert_eq!(app.get(&other.path("groups"), &account.token).status, 403);
        }
    };
    are_found();
    let made_up = || app.get(&format!("/v2/accounts/{}/groups", new_id::<String>()), &account.token);
    let (found_out, started) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !found_out.load(Ordering::Relaxed) {
                    assert!(started.elapsed() < Duration::from_secs(20), "made-up names are looked for without end");
                    let answer = made_up();
                    match answer.status {
                        429 => found_out.store(answer.header("retry-after") == Some("1"), Ordering::Relaxed),
                        status => assert_eq!(status, 404),
                    }
                }
            });
        }
    });
    are_found();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(made_up().status, 404, "what it was told is true");
}

#[test]
fn who_signs_in_with_each_request_is_held_to_what_holds_for_signing_in() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let account = test.account();
        let (credentials, _) = test.credentials(&account);
        let (store, app) = (test.store(), start(&test));
        let (groups, authorization) = (account.path("groups"), basic(&account, &credentials));
        let group = r#"{"data": {"name": "x", "endpoints": {}}}"#;
        let answer = authorized(&app, "PUT", &groups, &authorization, Some(group));
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()["auth_token"], authorization.strip_prefix("Basic ").unwrap());
        for wrong in [
            basic(&account, "00000000000000000000000000000000"),
            basic(&account, &credentials.to_uppercase()),
            authorization.replace("Basic", "basic"),
            "Basic !".to_owned(),
            "Basic ".to_owned(),
            format!("Basic {}", STANDARD.encode(account.id.as_str())),
        ] {
            assert_eq!(authorized(&app, "GET", &groups, &wrong, None).status, 401, "{wrong}");
        }
        let read_only = json!({"cb_user_auth": {"_": {"groups": [{"rules": {"#": ["GET"]}}]}}});
        put(&store, &account.database(), json!({"_id": "token_restrictions", "restrictions": read_only}));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(authorized(&app, "GET", &groups, &authorization, None).status, 200);
        assert_eq!(authorized(&app, "PUT", &groups, &authorization, Some(group)).status, 403);
        // whoever is disabled is in no view of credentials, and so is not let in
        change(&store, &account, account.user.as_str(), json!({"enabled": false}));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(authorized(&app, "GET", &groups, &authorization, None).status, 401);
    }
}

#[test]
fn attempts_to_sign_in_are_written_down_where_the_database_of_the_month_is() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let (account, without) = (test.account(), test.account());
        let (credentials, realm) = test.credentials(&account);
        let (other_credentials, other_realm) = test.credentials(&without);
        let (store, database) = (test.store(), account.database_of_this_month());
        block_on(store.create(&database)).unwrap();
        let app = start(&test);
        assert_eq!(app.sign_in(&other_credentials, &other_realm).0, 201);
        assert_eq!(app.sign_in(&credentials, &realm).0, 201);
        assert_eq!(app.sign_in("00000000000000000000000000000000", &realm).0, 401);
        // the service ends when all are written down
        drop(app);
        let written: Vec<Value> = block_on(store.dump(&database, None, 100, Attachments::Inline))
            .unwrap()
            .unwrap()
            .iter()
            .map(|document| serde_json::from_str(&document.to_json()).unwrap())
            .collect();
        let with = |status: &str| written.iter().find(|attempt| attempt["status"] == status).unwrap();
        assert_eq!(written.len(), 2, "{written:?}");
        let (success, failed) = (with("success"), with("failed"));
        for attempt in [success, failed] {
            assert_eq!(attempt["pvt_type"], "login_attempt");
            assert_eq!(
                (&attempt["auth_module"], &attempt["auth_type"]),
                (&json!("cb_user_auth"), &json!("credentials"))
            );
            assert_eq!(attempt["client_ip"], "127.0.0.1");
            assert_eq!(attempt["pvt_account_id"], account.id.as_str());
            assert!(attempt["_id"].as_str().unwrap().starts_with(&database.as_str()[database.as_str().len() - 6..]));
            assert!(!attempt.to_string().contains(&credentials) && !attempt.to_string().contains("0000000000000000"));
        }
        let whom = json!({"account_id": account.id.as_str(), "owner_id": account.user.as_str()});
        assert_eq!(success["metadata"], whom);
        assert_eq!(failed["metadata"], json!({"account_realm": realm, "method": "md5"}));
        // none is made for them
        assert!(
            block_on(store.dump(&without.database_of_this_month(), None, 1, Attachments::Inline)).unwrap().is_none()
        );
    }
}
