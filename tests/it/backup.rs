//! Backups of the embedded store: of one moment, whole or not at all, and what is restored of them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::client;
use crate::common::program::{Served, refuses, run};
use crate::common::{Kind, TestAccount, TestStore, couchdb_url, seed_files};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the program, which succeeds; gives what it printed.
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The documents of a database of a store that is not open, by their ids.
fn documents(store: &Path, database: &str) -> serde_json::Map<String, Value> {
    let exported: Value = serde_json::from_str(&done(&["export", "--store", text(store), database])).unwrap();
    let documents = exported["docs"].as_array().unwrap();
    documents.iter().map(|document| (document["_id"].as_str().unwrap().to_owned(), document.clone())).collect()
}

fn put(address: SocketAddr, account: &TestAccount, method: &str, path: &str, name: usize) -> Value {
    let data = json!({"data": {"name": name.to_string(), "flags": [name.to_string()], "endpoints": {}}}).to_string();
    let headers = [("X-Auth-Token", account.token.as_str()), ("Content-Type", "application/json")];
    let answer = client::send(address, method, &account.path(path), &headers, Some(data.as_bytes())).unwrap();
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    answer.json()["data"].clone()
}

#[test]
fn a_backup_under_load_is_of_one_moment_and_holds_all_that_was_answered_before() {
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    let folder = test.close();
    let elsewhere = tempfile::tempdir().unwrap();
    let served = Served::start(&["--store", text(folder.path()), "--rate-limit", "off"]);
    let (address, account) = (served.address, &account);
    let new = &|name| put(address, account, "PUT", "groups", name)["id"].as_str().unwrap().to_owned();
    let pairs: Vec<[String; 2]> = (0..3).map(|_| [new(0), new(0)]).collect();
    let (answered, is_over) = (&Mutex::new(Vec::new()), &AtomicBool::new(false));
    let started = Instant::now();

    let backups: Vec<(Vec<String>, PathBuf)> = thread::scope(|scope| {
        for pair in &pairs {
            scope.spawn(move || {
                for number in 1.. {
                    // the one is always written before the other
                    for id in pair {
                        put(address, account, "PATCH", &format!("groups/{id}"), number);
                    }
                    answered.lock().unwrap().push(new(number));
                    // a test that failed ends too
                    if is_over.load(Ordering::Relaxed) || started.elapsed() > Duration::from_secs(30) {
                        return;
                    }
                }
            });
        }
        let made = (0..3)
            .map(|number| {
                thread::sleep(Duration::from_millis(200));
                let before = answered.lock().unwrap().clone();
                let file = elsewhere.path().join(format!("backup-{number}"));
                done(&["backup", "--store", text(folder.path()), text(&file)]);
                assert_eq!(mode(&file), 0o600);
                (before, file)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        made
    });
    assert!(!backups[2].0.is_empty());
    for (number, (before, file)) in backups.iter().enumerate() {
        let restored = elsewhere.path().join(format!("store-{number}"));
        done(&["restore", "--store", text(&restored), text(file)]);
        let documents = documents(&restored, account.database().as_str());
        for id in before {
            assert!(documents.contains_key(id), "{id} was answered before");
        }
        let number = |id: &String| {
            let group = &documents[id];
            assert_eq!(json!([group["name"]]), group["flags"], "a half of a write");
            group["name"].as_str().unwrap().parse::<usize>().unwrap()
        };
        for [first, second] in &pairs {
            let (first, second) = (number(first), number(second));
            assert!((second..=second + 1).contains(&first), "{second} was written after {first}");
        }
    }
}

#[test]
fn what_is_restored_is_what_was_backed_up_with_the_service_and_without() {
    let folder = tempfile::tempdir().unwrap();
    let [store, with, without, first, second] =
        ["store", "with", "without", "first", "second"].map(|name| folder.path().join(name));
    let files: Vec<String> = seed_files().iter().map(|file| text(file).to_owned()).collect();
    done(&[&["import", "--store", text(&store)], &*files.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    let mut served = Served::start(&["--store", text(&store)]);
    assert_eq!(mode(&store.join("backup.sock")), 0o600);
    assert_eq!(names(&store), ["backup.sock", "store.redb"]);
    let told = done(&["backup", "--store", text(&store), text(&with)]);
    served.signal("-TERM");
    assert!(served.process.wait().unwrap().success());
    assert_eq!(names(&store), ["store.redb"], "the socket goes with the service");
    let told_again = done(&["backup", "--store", text(&store), text(&without)]);
    let lines = |file: &Path| fs::read_to_string(file).unwrap().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let (with_lines, without_lines) = (lines(&with), lines(&without));
    // the last has a checksum of the first, which has the time
    assert_eq!(with_lines.split_last().unwrap().1, without_lines.split_last().unwrap().1);

    for (backup, restored, told) in [(&with, &first, &told), (&without, &second, &told_again)] {
        let told_of_restored = done(&["restore", "--store", text(restored), text(backup)]);
        assert_eq!(told_of_restored.split_once(": ").unwrap().1, told.split_once(": ").unwrap().1);
        assert!(told.contains(&format!(" of {} databases", files.len())), "{told}");
        assert_eq!((names(restored), mode(&restored.join("store.redb"))), (vec!["store.redb".to_owned()], 0o600));
        for file in &files {
            let seeded: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            let database = seeded["db"].as_str().unwrap();
            assert_eq!(documents(restored, database), documents(&store, database), "{database}");
        }
    }
}

#[test]
fn what_is_there_already_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let [store, backup, other] = ["store", "backup", "other"].map(|name| folder.path().join(name));
    done(&["import", "--store", text(&store), text(&seed_files()[0])]);
    refuses(&["backup", "--store", text(&folder.path().join("none")), text(&backup)], "there is no store");
    assert!(!folder.path().join("none").exists());
    fs::write(&backup, "mine").unwrap();
    refuses(&["backup", "--store", text(&store), text(&backup)], "--force");
    assert_eq!(fs::read(&backup).unwrap(), b"mine");
    done(&["backup", "--force", "--store", text(&store), text(&backup)]);
    assert_eq!(mode(&backup), 0o600);

    refuses(&["restore", "--store", text(&store), text(&backup)], "holds store.redb already");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("mine"), "mine").unwrap();
    refuses(&["restore", "--store", text(&other), text(&backup)], "holds mine already");
    assert_eq!(names(&other), ["mine"]);
    fs::remove_file(other.join("mine")).unwrap();
    // what a service leaves that was killed is nothing
    fs::write(other.join("backup.sock"), "").unwrap();
    done(&["restore", "--store", text(&other), text(&backup)]);
    assert_eq!(names(&other), ["backup.sock", "store.redb"]);
}

#[test]
fn a_backup_that_is_not_whole_restores_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [store, backup, restored] = ["store", "backup", "restored"].map(|name| folder.path().join(name));
    done(&["import", "--store", text(&store), text(&seed_files()[0])]);
    done(&["backup", "--store", text(&store), text(&backup)]);
    let whole = fs::read_to_string(&backup).unwrap();
    let without_end = whole[..whole.trim_end().rfind('\n').unwrap()].to_owned() + "\n";
    for (content, why) in [
        (&whole[..whole.len() / 2], "cut off"),
        (&without_end, "cut off"),
        (&whole.replacen("pvt_type", "pvt_kind", 1), "changed"),
        ("{}", "no backup"),
        (r#"{"db": "accounts", "docs": []}"#, "no backup"),
        ("", "no backup"),
    ] {
        fs::write(&backup, content).unwrap();
        refuses(&["restore", "--store", text(&restored), text(&backup)], why);
        assert!(!restored.exists(), "{why}");
    }
}

#[test]
fn a_couchdb_has_backups_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    refuses(&["restore", "--store", "http://127.0.0.1:1", text(&backup)], "migrate");
    let Some(url) = couchdb_url() else { return };
    refuses(&["backup", "--store", &url, text(&backup)], "migrate");
    assert!(names(folder.path()).is_empty());
}
