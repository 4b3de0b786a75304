//! What the embedded store holds lasts: through kills, and through disks that are full for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::program::{Served, program};
use crate::common::{Kind, TestAccount, TestStore};

/// How many clients write at once.
const CLIENTS: usize = 4;

/// How often the service is killed: `$KILLS`, or so often that nobody waits for it.
fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

fn send(address: SocketAddr, account: &TestAccount, method: &str, path: &str, data: Option<Value>) -> Option<Response> {
    let body = data.map(|data| json!({ "data": data }).to_string());
    let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
    client::send(address, method, &account.path(path), &headers, body.as_deref().map(str::as_bytes)).ok()
}

/// A group whose fields all tell the same number: a half of it can be told from the whole.
fn group(account: &TestAccount, number: usize) -> Value {
    let endpoints = json!({account.user.as_str(): {"type": "user", "weight": number % 100 + 1}});
    json!({"name": number.to_string(), "flags": [number.to_string()], "endpoints": endpoints})
}

/// The number that a group tells.
fn number(account: &TestAccount, group: &Value) -> usize {
    let number: usize = group["name"].as_str().unwrap().parse().unwrap();
    assert_eq!(group["flags"], json!([number.to_string()]), "{group}");
    assert_eq!(group["endpoints"][account.user.as_str()]["weight"], json!(number % 100 + 1), "{group}");
    number
}

/// What one client wrote: the numbers of its groups by their ids, and of the one that it changes.
struct Written {
    groups: BTreeMap<String, usize>,
    changed: (String, usize),
}

/// Makes a group and changes another, until nobody answers any longer.
fn write(address: SocketAddr, account: &TestAccount, written: &mut Written) {
    loop {
        let next = written.changed.1 + 1;
        let Some(made) = send(address, account, "PUT", "groups", Some(group(account, next))) else { return };
        assert_eq!(made.status, 201, "{}", made.text());
        written.groups.insert(made.json()["data"]["id"].as_str().unwrap().to_owned(), next);
        let path = format!("groups/{}", written.changed.0);
        let Some(changed) = send(address, account, "PATCH", &path, Some(group(account, next))) else { return };
        assert_eq!(changed.status, 200, "{}", changed.text());
        written.changed.1 = next;
    }
}

fn ids(address: SocketAddr, account: &TestAccount, path: &str) -> BTreeSet<String> {
    let listed = send(address, account, "GET", &format!("{path}?paginate=false"), None).unwrap().json();
    listed["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_answered_outlives_kills_and_nothing_is_there_by_half() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let folder = test.close();
    let start = || Served::start(&["--store", folder.path().to_str().unwrap(), "--rate-limit", "off"]);
    let read = |served: &Served, id: &str| {
        let answer = send(served.address, &account, "GET", &format!("groups/{id}"), None).unwrap();
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        number(&account, &answer.json()["data"])
    };

    let mut served = start();
    let mut clients: Vec<Written> = (0..CLIENTS)
        .map(|_| {
            let made = send(served.address, &account, "PUT", "groups", Some(group(&account, 0))).unwrap().json();
            Written { groups: BTreeMap::new(), changed: (made["data"]["id"].as_str().unwrap().to_owned(), 0) }
        })
        .collect();
    let mut known: BTreeSet<String> = clients.iter().map(|client| client.changed.0.clone()).collect();
    let mut answered = 0;
    for kill in 0..kills() {
        let address = served.address;
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| write(address, &account, client));
            }
            // at another moment each time
            thread::sleep(Duration::from_millis(50 + (kill * 67 % 300) as u64));
            served.signal("-KILL");
        });
        served = start();
        let there = ids(served.address, &account, "groups");
        assert_eq!(
            there,
            ids(served.address, &account, &format!("users/{}/groups", account.user)),
            "each in both views"
        );
        assert!(there.is_superset(&known), "a write of before was lost");
        for client in &mut clients {
            for (id, number) in &client.groups {
                assert_eq!(read(&served, id), *number, "a write that was answered");
            }
            answered += 2 * client.groups.len();
            known.extend(std::mem::take(&mut client.groups).into_keys());
            // it may have been changed once more without an answer
            let (id, last) = &mut client.changed;
            let now = read(&served, id);
            assert!((*last..=*last + 1).contains(&now), "{now} after {last}");
            *last = now;
        }
        let unanswered: Vec<&String> = there.difference(&known).collect();
        assert!(unanswered.len() <= CLIENTS, "{unanswered:?}");
        for id in &unanswered {
            read(&served, id);
        }
        known.extend(unanswered.into_iter().cloned().collect::<Vec<_>>());
    }
    assert!(answered > kills(), "{answered} writes were answered");
    println!("{} kills, {answered} answered writes, none lost, none by half", kills());
}

/// Fills the disk, and sees what happens then and when there is room again.
fn a_full_disk(
    mut served: Served,
    account: &TestAccount,
    store: &Path,
    fill: impl Fn(&Served),
    free: impl Fn(&Served),
) {
    let ready = || {
        let answer = client::send(served.address, "GET", "/readyz", &[], None).unwrap();
        (answer.status, answer.json())
    };
    let put = || {
        let mut group = group(account, 1);
        group["note"] = json!("x".repeat(200_000));
        send(served.address, account, "PUT", "groups", Some(group)).unwrap()
    };
    let mut written = BTreeSet::new();
    let mut take = |answer: Response| {
        let id = answer.json()["data"]["id"].as_str().map(str::to_owned);
        assert_eq!(answer.status == 201, id.is_some(), "{}", answer.text());
        written.extend(id);
        answer
    };
    assert_eq!(take(put()).status, 201);
    assert_eq!(ready().0, 200);

    fill(&served);
    let started = Instant::now();
    let refused = loop {
        let answer = take(put());
        if answer.status != 201 {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it never was full");
    };
    let written_before = written.clone();
    // what was proved is remembered for a second
    while ready().0 == 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "ready, and full");
        thread::sleep(Duration::from_millis(50));
    }
    // for longer than it waits until it tries again
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        let refused = put();
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")), "{}", refused.text());
        assert_eq!(ready(), (503, json!({"status": "not ready", "reason": "store full"})));
        assert_eq!(ids(served.address, account, "groups"), written_before, "reads go on");
        for id in &written_before {
            assert_eq!(send(served.address, account, "GET", &format!("groups/{id}"), None).unwrap().status, 200);
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(refused.json()["message"], "datastore_fault");
    assert_eq!(refused.json()["data"]["message"], "datastore full");

    free(&served);
    let freed = Instant::now();
    while ready().0 != 200 {
        assert!(freed.elapsed() < Duration::from_secs(5), "not ready again: {:?}", ready());
        thread::sleep(Duration::from_millis(50));
    }
    let made = put();
    assert_eq!(made.status, 201, "{}", made.text());
    let mut written = written_before;
    written.insert(made.json()["data"]["id"].as_str().unwrap().to_owned());
    assert_eq!(ids(served.address, account, "groups"), written);
    assert!(store.exists());
    served.signal("-TERM");
    assert_eq!(served.process.wait().unwrap().code(), Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn a_store_that_may_not_grow_is_full_until_it_may() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let folder = test.close();
    let file = folder.path().join("store.redb");
    let limit = |served: &Served, bytes: &str| {
        let pid = served.process.id().to_string();
        let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().unwrap();
        assert!(done.success());
    };
    let served = Served::start(&["--store", folder.path().to_str().unwrap(), "--rate-limit", "off"]);
    let fill = |served: &Served| limit(served, &fs::metadata(&file).unwrap().len().to_string());
    a_full_disk(served, &account, &file, fill, |served| limit(served, "unlimited"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_without_room_is_full_until_it_has_some() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let folder = test.close();
    // a small disk that nobody but the service sees, and that goes away with it
    let script = r#"mount -t tmpfs -o size=12m none "$0/disk" && cp "$0/store.redb" "$0/disk" && exec "$@""#;
    fs::create_dir(folder.path().join("disk")).unwrap();
    let isolated = |command: &[&str]| {
        let mut isolated = Command::new("unshare");
        isolated.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(folder.path()).args(command);
        isolated
    };
    if !isolated(&["true"]).status().is_ok_and(|status| status.success()) {
        return;
    }
    let disk = folder.path().join("disk");
    let service = isolated(&[program().get_program().to_str().unwrap()]);
    let served = Served::of(service, &["--store", disk.to_str().unwrap(), "--rate-limit", "off"]);
    let seen = PathBuf::from(format!("/proc/{}/root{}", served.process.id(), disk.display()));
    let fill = |_: &Served| {
        let filled = fs::write(seen.join("filler"), vec![0; 16 << 20]);
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    };
    let free = |_: &Served| fs::remove_file(seen.join("filler")).unwrap();
    a_full_disk(served, &account, &folder.path().join("store.redb"), fill, free);
}
