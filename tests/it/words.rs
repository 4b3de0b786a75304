//! The words that operators are told when something is wrong: each says what it is and what to do, in one line, and nothing
//! has changed.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::common::program::{Served, program, refuses, run};
use crate::common::tls::{Authority, TlsServer};
use crate::common::{block_on, client, couchdb_url, fixtures, hanging, import, recording, seed_files};
use crossbar_groups::kazoo::views;
use crossbar_groups::store::embedded::Embedded;

const ACCOUNT: &str = "3e30d852896b2a7fd6dd579074f12a3b";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A store with the seed in it, closed.
fn seeded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    block_on(async { import(&Embedded::open(folder.path(), views::ALL).unwrap(), seed_files()).await });
    folder
}

/// Every command that reads a store, and what of it fails before the store is looked for.
fn reading(store: &str) -> Vec<Vec<&str>> {
    let account = ["--account", ACCOUNT];
    let mut commands: Vec<Vec<&str>> = [
        &["export", "accounts"][..],
        &["export", "--all"],
        &["databases"],
        &["views", "check"],
        &["views", "install"],
        &["audit"],
        &["audit", "--fix", "--yes"],
        &["backup", "no-such-backup"],
    ]
    .into_iter()
    .map(|command| [command, &["--store", store]].concat())
    .collect();
    for command in [&["groups", "rings", "g"][..], &["groups", "deleted"], &["groups", "restore", "g"]] {
        commands.push([command, &account, &["--store", store]].concat());
    }
    commands
}

/// What the doctor says of a store that it can't examine, and what to do.
fn doctor(store: &str) -> (String, String) {
    let output = run(&["doctor", "--json", "--store", store]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = &report["checks"][0];
    assert_eq!(check["outcome"], "failed", "{report}");
    (check["problem"].as_str().unwrap().to_owned(), check["remedy"].as_str().unwrap().to_owned())
}

#[test]
fn who_only_reads_makes_no_store() {
    let folder = tempfile::tempdir().unwrap();
    for missing in ["not/there", "empty"] {
        fs::create_dir_all(folder.path().join("empty")).unwrap();
        let store = folder.path().join(missing);
        let to = folder.path().join("to");
        for command in reading(text(&store)) {
            refuses(&command, "there is no store — give a store's folder");
        }
        refuses(&["migrate", text(&store), text(&to)], "there is no store");
        let (problem, remedy) = doctor(text(&store));
        assert!(problem.contains("there is no store") && remedy.contains("give a store's folder"), "{problem}");
        assert!(!to.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.path().join("empty")).unwrap().count(), 0);
    }
}

#[test]
fn no_store_is_put_among_other_peoples_files() {
    let (folder, from) = (tempfile::tempdir().unwrap(), seeded());
    fs::write(folder.path().join("report.doc"), "theirs").unwrap();
    let dump = fixtures().join("seed").join("accounts.json");
    let backup = folder.path().with_extension("backup");
    let backed_up = run(&["backup", "--json", "--store", text(from.path()), text(&backup)]);
    let backed_up: Value = serde_json::from_slice(&backed_up.stdout).unwrap();
    assert_eq!(backed_up["databases"], seed_files().len());
    let theirs = text(folder.path());
    for command in [
        &["import", "--store", theirs, text(&dump)][..],
        &["serve", "--listen", "127.0.0.1:0", "--store", theirs],
        &["migrate", text(from.path()), theirs],
        &["restore", "--store", theirs, text(&backup)],
    ] {
        refuses(command, "holds report.doc");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{command:?}");
    }
    fs::remove_file(backup).unwrap();
    // what a file system has of its own is nobody's file
    let mounted = tempfile::tempdir().unwrap();
    fs::create_dir(mounted.path().join("lost+found")).unwrap();
    assert!(run(&["import", "--store", text(mounted.path()), text(&dump)]).status.success());
}

#[test]
fn a_store_that_another_process_has_open_is_told_as_such() {
    let folder = seeded();
    let _served = Served::start(&["--store", text(folder.path())]);
    for command in reading(text(folder.path())) {
        if command[0] != "backup" {
            refuses(&command, "another process has this store open — stop the service");
        }
    }
    let (problem, remedy) = doctor(text(folder.path()));
    assert!(problem.contains("another process") && !remedy.contains("port"), "{problem} {remedy}");
}

#[test]
fn a_damaged_store_is_told_as_such_and_stays_as_it_is() {
    let whole = fs::read(seeded().path().join("store.redb")).unwrap();
    let noise: Vec<u8> = (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let overwritten = [&noise[..4096], &whole[4096..]].concat();
    for damaged in [Vec::new(), noise.clone(), whole[..whole.len() / 2].to_vec(), whole[..100].to_vec(), overwritten] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.redb");
        fs::write(&file, &damaged).unwrap();
        for command in [&["databases"][..], &["audit"], &["export", "accounts"]] {
            refuses(&[command, &["--store", text(folder.path())]].concat(), "the store is damaged");
        }
        let (problem, remedy) = doctor(text(folder.path()));
        assert!(problem.contains("the store is damaged") && remedy.contains("`restore`"), "{problem} {remedy}");
        assert_eq!(fs::read(&file).unwrap(), damaged);
    }

    // redb itself says more of damaged pages, in lines of its own
    let folder = tempfile::tempdir().unwrap();
    let mut pages = whole;
    pages[4096..8192].copy_from_slice(&[0xa5; 4096]);
    fs::write(folder.path().join("store.redb"), pages).unwrap();
    let output = run(&["databases", "--store", text(folder.path())]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.lines().last().unwrap().contains("the store is damaged"), "{error}");
}

#[test]
fn a_file_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwd");
    fs::write(&file, "root").unwrap();
    for command in reading(text(&file)).into_iter().filter(|command| command[0] != "backup") {
        refuses(&command, "it is a file, and a store is a folder — give a folder");
    }
    refuses(&["serve", "--store", text(&file)], "it is a file");
    refuses(&["databases", "--store", text(&file.join("below"))], "there is no store");
}

/// A server that gives the same answer to whatever is asked.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://admin:secret@{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // of a request without a body its head is all
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn each_way_in_which_a_couchdb_is_not_reached_has_words_of_its_own() {
    let (authority, (_node, silent)) = (Authority::new(), hanging());
    let plain = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    let untrusted = TlsServer::before(&plain, &authority.issue("localhost")).url(&plain);
    let denied = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 60\r\nConnection: close\r\n\r\n\
                  {\"error\":\"unauthorized\",\"reason\":\"Name or password is wrong\"}";
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
    let mut seen = BTreeSet::new();
    for (url, what, remedy) in [
        ("http://admin:secret@127.0.0.1:1", "Connection refused", "see that the CouchDB runs"),
        ("http://admin:secret@no-such-host.invalid:5984", "no machine of this name", "can look up"),
        (&untrusted, "TLS: ", "--ca"),
        (&silent, "did not answer in time", "no firewall"),
        (&answering(denied), "401 Unauthorized", "http://user:password@host:5984"),
        (&answering(page), "what answers is no store", "a CouchDB's own address"),
    ] {
        // before, a node that is waited for is said to be
        let error = String::from_utf8(run(&["databases", "--store", url]).stderr).unwrap();
        let error = error.lines().last().unwrap();
        assert!(error.contains(what) && error.contains(remedy), "{error}");
        let told = doctor(url);
        assert!(told.0.contains(what) && told.1.contains(remedy), "{told:?}");
        assert!(!told.0.contains("secret"), "{told:?}");
        assert!(seen.insert(told.1), "said of something else too");
    }
    if let Some(url) = couchdb_url().filter(|url| url.contains("://admin:password@")) {
        let url = url.replace("://admin:password@", "://admin:no-password@");
        refuses(&["databases", "--store", &url], "does not let us in");
        refuses(&["databases", "--store", &url.replace("admin:no-password@", "")], "does not let us in");
    }
}

#[test]
fn what_is_misspelt_is_told_what_it_may_have_meant() {
    for (arguments, tip) in [
        (&["serv"][..], "tip: a similar subcommand exists: 'serve'"),
        (&["database"], "'databases'"),
        (&["serve", "--lisen", "127.0.0.1:0"], "tip: a similar argument exists: '--listen'"),
        (&["serve", "--log-format", "jsn"], "tip: a similar value exists: 'json'"),
        (&["serve", "--listen", "8125"], "give ADDRESS:PORT"),
        (&["serve", "--listen", "localhost:http"], "localhost:8000"),
        (&["serve", "--listen", "no-such-host.invalid:80"], "this machine knows no no-such-host.invalid"),
        (&["export"], "--all"),
        (&["export", "--all", "accounts"], "cannot be used with"),
        (&["export", "No DB"], "or give an account's id"),
    ] {
        refuses(arguments, tip);
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["migrate", "here", "here"][..],
        &["restore", "--store", "http://127.0.0.1:1", "file"],
        &["databases", "--store", "here", "--store", "http://127.0.0.1:1"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(run(&["databases", "--store", text(folder.path())]).status.code(), Some(1));
}

#[test]
fn a_name_is_listened_on() {
    let folder = seeded();
    let mut program = program();
    program.args(["serve", "--listen", "localhost:0", "--store", text(folder.path())]);
    let mut process = program.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut log = std::io::BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut log, &mut line).unwrap();
    let address = line.trim().rsplit("://").next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
    assert_eq!(client::send(address, "GET", "/readyz", &[], None).unwrap().status, 200);
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn databases_are_listed_and_exported_by_whatever_names_them() {
    let (folder, files) = (seeded(), tempfile::tempdir().unwrap());
    let store = ["--store", text(folder.path())];
    let out = |command: &[&str]| {
        let output = run(&[command, &store].concat());
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = out(&["databases"]);
    assert_eq!(listed.lines().count(), seed_files().len());
    assert!(
        listed.lines().any(|line| line.starts_with("account/3e/30/d8") && line.ends_with("  Birch Dental")),
        "{listed}"
    );
    let json: Value = serde_json::from_str(&out(&["databases", "--json"])).unwrap();
    let birch = json["databases"].as_array().unwrap().iter().find(|of| of["account"] == ACCOUNT).unwrap();
    assert_eq!(
        (&birch["name"], &birch["database"]),
        (&"Birch Dental".into(), &"account/3e/30/d852896b2a7fd6dd579074f12a3b".into())
    );

    let by_name = out(&["export", "account/3e/30/d852896b2a7fd6dd579074f12a3b"]);
    for name in
        [ACCOUNT, "account%2F3e%2F30%2Fd852896b2a7fd6dd579074f12a3b", "account%2f3e/30%2fd852896b2a7fd6dd579074f12a3b"]
    {
        assert_eq!(out(&["export", name]), by_name, "{name}");
    }
    let two = out(&["export", ACCOUNT, "accounts"]);
    assert_eq!(two, by_name.clone() + &out(&["export", "accounts"]));
    refuses(
        &[&["export", ACCOUNT, "nothing"][..], &store].concat(),
        "there is no database nothing — `crossbar-groups databases`",
    );

    // all of it in one file makes the same store again, and so does an account with its document in accounts
    for (what, databases) in [(vec!["--all"], seed_files().len()), (vec!["--account", ACCOUNT], 2)] {
        let exported = out(&[&["export"], &what[..]].concat());
        let (file, copy) = (files.path().join("dump"), files.path().join(what[0]));
        fs::write(&file, &exported).unwrap();
        let imported = run(&["import", "--json", "--store", text(&copy), text(&file)]);
        let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
        assert_eq!(imported["databases"].as_array().unwrap().len(), databases);
        let again = run(&[&["export"], &what[..], &["--store", text(&copy)]].concat());
        assert_eq!(String::from_utf8(again.stdout).unwrap(), exported);
    }
    let copied = run(&["export", "--store", text(&files.path().join("--account")), "accounts"]).stdout;
    let copied: Value = serde_json::from_slice(&copied).unwrap();
    assert_eq!((copied["docs"].as_array().unwrap().len(), &copied["docs"][0]["_id"]), (1, &ACCOUNT.into()));
}

/// The stores to import into: an embedded one, and a CouchDB.
fn targets() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap().keep();
    [text(&folder).to_owned()].into_iter().chain(couchdb_url()).collect()
}

#[test]
fn an_import_tells_what_was_new_changed_and_unchanged() {
    for store in targets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dump.json");
        let database = format!("words_{}", uuid::Uuid::new_v4().simple());
        let import = |docs: &str| {
            fs::write(&file, format!(r#"{{"db": "{database}", "docs": [{docs}]}}"#)).unwrap();
            let output = run(&["import", "--store", &store, text(&file)]);
            assert!(output.status.success(), "{output:?}");
            let json = run(&["import", "--json", "--store", &store, text(&file)]);
            let json: Value = serde_json::from_slice(&json.stdout).unwrap();
            let again = (&json["new"], &json["changed"]);
            assert_eq!(again, (&0.into(), &0.into()), "importing again changes nothing");
            assert_eq!(json["databases"][0]["database"], database.as_str());
            String::from_utf8(output.stdout).unwrap()
        };
        let (a, later_a, older_a, b) = (
            r#"{"_id": "a", "_rev": "1-aa", "n": 1}"#,
            r#"{"_id": "a", "_rev": "2-bb", "n": 2}"#,
            r#"{"_id": "a", "_rev": "1-a0", "n": 0}"#,
            r#"{"_id": "b"}"#,
        );
        let told = |new, changed, unchanged| {
            let all = new + changed + unchanged;
            format!("{all} documents of 1 databases: {new} new, {changed} changed, {unchanged} unchanged\n")
        };
        assert_eq!(import(&[a, b].join(",")), told(2, 0, 0), "{store}");
        assert_eq!(import(&[a, b].join(",")), told(0, 0, 2));
        assert_eq!(import(&[later_a, b, r#"{"_id": "c"}"#].join(",")), told(1, 1, 1));
        assert_eq!(import(older_a), told(0, 0, 1), "what is there is later");
        match couchdb_url().filter(|url| *url == store) {
            Some(url) => {
                let deleted = Command::new("curl").args(["-sX", "DELETE", &format!("{url}/{database}")]).output();
                assert!(deleted.is_ok());
            }
            None => fs::remove_dir_all(&store).unwrap(),
        }
    }
}

#[test]
fn what_is_no_dump_is_told_where_and_what_one_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = (folder.path().join("bad.json"), folder.path().join("store"));
    for (content, place, why) in [
        ("no dump", "line 1, column 2", "no JSON"),
        ("", "line 1, column 0", "no JSON"),
        ("{\n \"db\": \"accounts\",\n \"docs\": [{\"_id\": \"a\"},,]}", "line 3, column 24", "no JSON"),
        ("{\"rows\": []}", "line 1", "missing field `docs`"),
        (
            "{\"db\": \"accounts\",\n \"docs\": [\n{\"_id\": \"a\"},\n{\"name\": \"b\"}]}",
            "line 4",
            "a document without an _id",
        ),
        ("{\"db\": \"accounts\", \"docs\": []}\n{\"db\": 5}", "line 2", "invalid type"),
    ] {
        fs::write(&file, content).unwrap();
        let import = ["import", "--store", text(&store), text(&file)];
        for words in [text(&file), place, why, "a dump is {\"db\": \"accounts\", \"docs\": ["] {
            refuses(&import, words);
        }
        assert!(!store.exists());
    }
    refuses(&["import", "--store", text(&store), "no-such-file"], "no-such-file: No such file");
}

#[test]
fn serving_a_store_without_an_account_says_so_in_the_log_and_to_who_watches() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&["--store", text(folder.path())]);
    let log = served.logged("the store holds no account").pop().unwrap();
    assert!(log.contains("WARN") && log.contains("crossbar-groups import"), "{log}");
    let answer = client::send(served.address, "GET", "/readyz", &[], None).unwrap();
    let warning = answer.json()["warning"].as_str().unwrap().to_owned();
    assert!(warning.contains("the store holds no account") && warning.contains("import"), "{warning}");
    assert_eq!((answer.status, &answer.json()["status"]), (200, &"ready".into()), "a new store is no fault");
    drop(served);

    // one account's database alone is enough
    let dump = seed_files().into_iter().find(|file| text(file).contains("3e%2F30")).unwrap();
    assert!(run(&["import", "--store", text(folder.path()), text(&dump)]).status.success());
    let served = Served::start(&["--store", text(folder.path())]);
    let answer = client::send(served.address, "GET", "/readyz", &[], None).unwrap();
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({"status": "ready"})));
}

#[test]
fn the_log_says_why_somebody_is_kept_out_and_never_with_what() {
    let folder = seeded();
    let served = Served::start(&["--rate-limit", "off", "--store", text(folder.path())]);
    let variables = recording::variables();
    let (account, token) = (&variables["B"], &variables["TB"]);
    let path = format!("/v2/accounts/{account}/groups");
    let unsigned = format!("{}.c2VjcmV0", token.rsplit_once('.').unwrap().0);
    let basic = "Basic c2VjcmV0OnNlY3JldA==";
    for (headers, why) in [
        (&[][..], "there are none"),
        (&[("X-Auth-Token", "secret")], "it is no token"),
        (&[("X-Auth-Token", &*unsigned)], "signature does not hold"),
        (&[("X-Auth-Token", &**token), ("X-Auth-Account-ID", "other")], "X-Auth-Account-ID is not"),
        (&[("Authorization", "Bearer secret")], "taken from X-Auth-Token"),
        (&[("Authorization", basic)], "Basic is not"),
    ] {
        let answer = client::send(served.address, "GET", &path, headers, None).unwrap();
        assert_eq!(answer.status, 401, "{headers:?}");
        let lines = served.logged("status=401");
        let line = lines.last().unwrap();
        assert!(line.contains(why) && line.contains(" reason=invalid credentials: "), "{line}");
        assert!(lines.iter().all(|line| headers.iter().all(|(_, secret)| !line.contains(secret))), "{lines:?}");
    }
    let answer = client::send(served.address, "GET", &path, &[("X-Auth-Token", token)], None).unwrap();
    assert_eq!(answer.status, 200);
    assert!(served.logged("status=200").iter().all(|line| line.ends_with(" reason=-")));
}

#[test]
fn progress_is_shown_on_a_terminal_alone() {
    let folder = seeded();
    let on_terminal = |more: &str| {
        let command = format!("{} doctor --store {}{more}", env!("CARGO_BIN_EXE_crossbar-groups"), text(folder.path()));
        let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let is_shown = |text: &str| text.contains("10/10 databases") || text.contains(" left");
    assert!(is_shown(&on_terminal("")), "{:?}", on_terminal(""));
    assert!(!is_shown(&on_terminal(" --json")));
    let piped = run(&["doctor", "--store", text(folder.path())]);
    assert!(piped.stderr.is_empty(), "{piped:?}");
}
