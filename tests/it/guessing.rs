//! Guessing at passwords is slow, and signing in is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::client::{self, Response};
use crate::common::{Kind, TestApp, TestStore, new_id};

/// A service behind a proxy that says where clients are.
struct Guarded {
    app: TestApp,
    credentials: String,
    realm: String,
}

impl Guarded {
    fn new(test: &TestStore, arguments: &[&str]) -> Self {
        let (credentials, realm) = test.credentials(&test.account());
        let app = TestApp::start(test.store(), &[&["--trusted-proxy", "127.0.0.1"], arguments].concat());
        Self { app, credentials, realm }
    }

    /// Signs in from an address.
    fn sign_in(&self, from: &str, realm: &str, credentials: &str) -> Response {
        let body = json!({"data": {"credentials": credentials, "account_realm": realm}}).to_string();
        let headers = [("X-Forwarded-For", from), ("Content-Type", "application/json")];
        client::send(self.app.address, "PUT", "/v2/user_auth", &headers, Some(body.as_bytes())).unwrap()
    }

    fn guess(&self, from: &str) -> u16 {
        self.sign_in(from, &self.realm, &new_id::<String>()).status
    }

    fn owner(&self, from: &str) -> u16 {
        self.sign_in(from, &self.realm, &self.credentials).status
    }
}

fn seconds(answer: &Response) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn ten_people_behind_one_address_sign_in_at_once() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let guarded = Guarded::new(&test, &[]);
        // also when one of them has mistyped
        for _ in 0..2 {
            thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| assert_eq!(guarded.owner("192.0.2.1"), 201));
                }
            });
            assert_eq!(guarded.guess("192.0.2.1"), 401);
        }
    }
}

#[test]
fn pauses_grow_and_are_told_truly() {
    let test = TestStore::new(Kind::Embedded);
    let guarded = Guarded::new(&test, &[]);
    let guess = |realm: &str| guarded.sign_in("192.0.2.1", realm, &new_id::<String>());
    // of an account that is there, and of one that is not
    for realm in [guarded.realm.as_str(), "nobody.example.com"] {
        for _ in 0..3 {
            assert_eq!(guess(realm).status, 401);
        }
        let refused = guess(realm);
        assert_eq!((refused.status, seconds(&refused)), (429, 1));
        assert_eq!(refused.json()["message"], "too_many_requests");
        assert_eq!(refused.json()["data"]["message"], "too many requests");
        assert_eq!(guarded.sign_in("192.0.2.1", realm, &guarded.credentials).status, 429, "the right one waits too");
        thread::sleep(Duration::from_secs(1));
        assert_eq!(guess(realm).status, 401);
        let refused = guess(realm);
        assert_eq!((refused.status, seconds(&refused)), (429, 2));
    }
    assert_eq!(guarded.owner("192.0.2.2"), 201, "another address");
}

#[test]
fn names_that_find_the_same_account_are_guessed_at_together() {
    let test = TestStore::new(Kind::Embedded);
    let guarded = Guarded::new(&test, &[]);
    let spelled = [guarded.realm.to_uppercase(), guarded.realm.clone(), guarded.realm.replace('e', "E")];
    for realm in &spelled {
        assert_eq!(guarded.sign_in("192.0.2.1", realm, "00").status, 401);
    }
    assert_eq!(guarded.owner("192.0.2.1"), 429);
}

#[test]
fn a_64_is_one_client() {
    let test = TestStore::new(Kind::Embedded);
    let guarded = Guarded::new(&test, &[]);
    let evaluated = AtomicUsize::new(0);
    thread::scope(|scope| {
        for upper in 0..8 {
            let (guarded, evaluated) = (&guarded, &evaluated);
            scope.spawn(move || {
                for lower in 0..250 {
                    let status = guarded.guess(&format!("2001:db8:1:2:{upper:x}::{lower:x}"));
                    assert!(matches!(status, 401 | 429), "{status}");
                    evaluated.fetch_add(usize::from(status == 401), Ordering::Relaxed);
                }
            });
        }
    });
    let evaluated = evaluated.into_inner();
    assert!((1..=12).contains(&evaluated), "{evaluated} of 2,000 guesses were evaluated");
    assert_eq!(guarded.owner("2001:db8:1:3::1"), 201, "the next /64");
}

#[test]
fn many_addresses_guess_slowly_and_the_owner_gets_in() {
    let test = TestStore::new(Kind::Embedded);
    let guarded = Guarded::new(&test, &[]);
    assert_eq!(guarded.owner("198.51.100.7"), 201);
    let (next, evaluated, refused) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= 1_500 {
                        return;
                    }
                    let counted = match guarded.guess(&format!("10.0.{}.{}", number / 250, number % 250)) {
                        401 => &evaluated,
                        429 => &refused,
                        status => panic!("{status}"),
                    };
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_millis(300));
        // where the account knows them, others' guesses are nothing to its people
        let started = Instant::now();
        assert_eq!(guarded.owner("198.51.100.7"), 201);
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        // somewhere new they wait, at most so long
        assert_eq!(guarded.owner("203.0.113.9"), 201);
        assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    });
    let (evaluated, refused) = (evaluated.into_inner(), refused.into_inner());
    assert_eq!(evaluated + refused, 1_500);
    assert!(evaluated <= 40, "{evaluated} guesses were evaluated");
}

#[test]
fn basic_and_api_keys_are_sign_ins() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let (credentials, _) = test.credentials(&account);
    let guarded = Guarded::new(&test, &[]);
    let basic = |credentials: &str, from: &str| {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{}:{credentials}", account.id)));
        let headers = [("X-Forwarded-For", from), ("Authorization", authorization.as_str())];
        client::send(guarded.app.address, "GET", &account.path("groups"), &headers, None).unwrap().status
    };
    let guesses: Vec<u16> = (0..5).map(|_| basic(&new_id::<String>(), "192.0.2.1")).collect();
    assert_eq!(guesses, [401, 401, 401, 429, 429]);
    assert_eq!(basic(&credentials, "192.0.2.1"), 429);
    for _ in 0..50 {
        assert_eq!(basic(&credentials, "192.0.2.2"), 200);
    }
    let keys = |from: &str| {
        let body = json!({"data": {"api_key": "0".repeat(64)}}).to_string();
        let headers = [("X-Forwarded-For", from), ("Content-Type", "application/json")];
        client::send(guarded.app.address, "PUT", "/v2/api_auth", &headers, Some(body.as_bytes())).unwrap().status
    };
    let guesses: Vec<u16> = (0..12).map(|_| keys("192.0.2.3")).collect();
    assert_eq!(guesses, [[404; 11].as_slice(), &[429]].concat());
}

#[test]
fn where_nothing_is_limited_guesses_are_not() {
    let test = TestStore::new(Kind::Embedded);
    let guarded = Guarded::new(&test, &["--rate-limit", "off"]);
    for _ in 0..50 {
        assert_eq!(guarded.guess("192.0.2.1"), 401);
    }
    assert_eq!(guarded.owner("192.0.2.1"), 201);
}
