//! The program as its users start it: what it says when it can't, and how it stops.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use serde_json::Value;

use crate::common::manual::{Shell, blocks, page};
use crate::common::program::{Served, program, refuses, run};
use crate::common::{client, recording, seed_files};
use crossbar_groups::document::hex;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no dump").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let store = folder.path().join("store");

    refuses(&["serve", "--frob"], "--frob");
    refuses(&["frob"], "frob");
    refuses(&["serve", "--listen", "nowhere"], "nowhere");
    refuses(&["serve", "--store", "ftp://host"], "ftp://");
    refuses(&["serve", "--store", text(&file)], text(&file));
    refuses(&["serve", "--listen", &taken, "--store", text(&store)], &taken);
    refuses(&["serve", "--store", "http://admin:secret@127.0.0.1:1"], "can't be reached");
    refuses(&["export", "--store", text(&store), "account/no/such/db"], "account/no/such/db");
    refuses(&["export", "--store", text(&store), "No DB"], "No DB");
    refuses(&["import", "--store", text(&store), text(&file)], text(&file));
    refuses(&["import", "--store", text(&store), "no-such-file"], "no-such-file");
    refuses(&["import", "--store", text(&store)], "FILE");

    refuses(&["serve", "--store", text(&store), "--store", "http://127.0.0.1:1"], "one folder, or URLs of one CouchDB");

    for store in
        ["http://admin:secret@127.0.0.1:1", "http:/admin:secret@127.0.0.1:1", "couchdb://admin:secret@127.0.0.1:1"]
    {
        for arguments in [&["serve", "--store", store][..], &["migrate", store, store]] {
            let output = run(arguments);
            assert!(!output.status.success());
            assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"), "{output:?}");
        }
    }
}

#[test]
fn a_file_that_is_no_dump_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, good, bad) = (folder.path().join("store"), folder.path().join("good"), folder.path().join("bad"));
    fs::write(&good, r#"{"db": "accounts", "docs": [{"_id": "a"}]}"#).unwrap();
    for (content, why) in [
        ("{}", "docs"),
        (r#"{"db": "accounts"}"#, "docs"),
        (r#"{"docs": []}"#, "db"),
        (r#"{"db": "No Name", "docs": []}"#, "No Name"),
        (r#"{"db": "accounts", "docs": [{"_id": "a"}, {"name": "b"}]}"#, "_id"),
        (r#"{"db": "accounts", "docs": [{"_id": "a", "_rev": "x"}]}"#, "x"),
        (r#"{"db": "accounts", "docs": [{"_id": "a"}, 5]}"#, ""),
        (r#"{"db": "accounts", "docs": [{"_id": "a"}]} and more"#, ""),
        (r#"{"db": "accounts", "docs": [{"_id": "a"}"#, ""),
    ] {
        fs::write(&bad, content).unwrap();
        // the good one is not loaded either
        refuses(&["import", "--store", text(&store), text(&good), text(&bad)], why);
        refuses(&["import", "--store", text(&store), text(&bad)], text(&bad));
        assert!(!store.exists(), "{content}");
    }
}

fn seed() -> Vec<String> {
    seed_files().iter().map(|file| text(file).to_owned()).collect()
}

fn import(store: &str, files: &[String]) {
    let arguments: Vec<&str> =
        ["import", "--store", store].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn export(store: &str, database: &str) -> String {
    let output = run(&["export", "--store", store, database]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_imported_is_exported_and_importing_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    import(text(&first), &seed());
    for file in seed_files() {
        let mut seeded: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        // a dump has its documents in the order of their ids
        seeded["docs"].as_array_mut().unwrap().sort_by_key(|document| document["_id"].as_str().unwrap().to_owned());
        let database = seeded["db"].as_str().unwrap();
        let exported = export(text(&first), database);
        assert_eq!(serde_json::from_str::<Value>(&exported).unwrap(), seeded, "{database}");

        import(text(&first), &seed());
        assert_eq!(export(text(&first), database), exported, "{database}: importing again");
        let copy = folder.path().join("copy.json");
        fs::write(&copy, &exported).unwrap();
        import(text(&second), &[text(&copy).to_owned()]);
        assert_eq!(export(text(&second), database), exported, "{database}: export then import");
    }
}

#[test]
fn whoever_closes_standard_output_has_seen_enough() {
    let folder = tempfile::tempdir().unwrap();
    import(text(folder.path()), &seed());
    let store = ["--store", text(folder.path())];
    for command in [&["export", "--all"][..], &["groups", "export", "--as-plan"], &["databases"]] {
        let mut program = program();
        let program = program.args(command).args(store).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = program.spawn().unwrap();
        // long before it has opened the store
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &[][..]), "{command:?}: {output:?}");
    }
}

#[test]
fn a_request_under_way_is_finished_and_no_other_begun() {
    let folder = tempfile::tempdir().unwrap();
    import(text(folder.path()), &seed());
    let variables = recording::variables();
    let (account, token) = (&variables["B"], &variables["TB"]);
    for signal in ["-TERM", "-INT"] {
        // of several workers one may answer before another has taken anything
        let mut served = Served::start(&["--workers", "1", "--store", text(folder.path())]);
        let body = r#"{"data":{"name":"under way","endpoints":{}}}"#;
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "PUT /v2/accounts/{account}/groups HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body.as_bytes()[..10]).unwrap();
        // the server has taken the request when it answers another one
        assert_eq!(client::send(served.address, "GET", "/", &[], None).unwrap().status, 200);

        served.signal(signal);
        let started = Instant::now();
        while TcpStream::connect(served.address).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "it still takes connections");
            std::thread::sleep(Duration::from_millis(20));
        }
        stream.write_all(&body.as_bytes()[10..]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(served.process.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn nothing_lasts_longer_than_a_day() {
    for (flag, value) in [
        ("--auth-cache", "99999999999"),
        ("--auth-cache", "inf"),
        ("--keep-alive", "86401"),
        ("--amqp-wait", "86400001"),
    ] {
        let output = run(&["serve", flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag} {value}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("a day"), "{flag} {value}: {output:?}");
    }
}

#[test]
fn a_folder_has_one_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let _served = Served::start(&["--store", text(&store)]);
    refuses(&["serve", "--listen", "127.0.0.1:0", "--store", text(&store)], "another process");
    refuses(&["export", "--store", text(&store), "accounts"], "another process");
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_demo_shows_commands_that_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let mut demo = program();
    let mut process = demo
        .args(["serve", "--demo", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines: Vec<String> = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains("-X DELETE") {
            break;
        }
    }
    // the page comes first, and opens signed in
    let first = lines[0].split(' ').next().unwrap();
    assert!(first.ends_with("/docs"), "{first}");
    let address = first.strip_prefix("http://").unwrap().strip_suffix("/docs").unwrap();
    let session = client::send(address.parse().unwrap(), "GET", "/docs/session", &[], None).unwrap();
    assert!(session.text().contains("token"), "{}", session.text());
    let exports: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("export ")).collect();
    let commands: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("curl ")).collect();
    assert_eq!((exports.len(), commands.len()), (2, 8), "{lines:?}");
    for command in commands {
        let script = format!("{}\n{command}", exports.join("\n"));
        let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{command}: {output:?}"));
        assert_eq!(answer["status"], "success", "{command}: {answer}");
    }
    // who has no token signs in as it says
    let signs_in = lines.iter().find(|line| line.contains("as a user")).unwrap();
    let words: Vec<&str> = signs_in.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let (user, password, account) = (words[3], words[5], *words.last().unwrap());
    let credentials = hex(&Md5::digest(format!("{user}:{password}")));
    let data = serde_json::json!({"data": {"credentials": credentials, "account_name": account}}).to_string();
    let json = [("Content-Type", "application/json")];
    let address_of = address.parse().unwrap();
    let answer = client::send(address_of, "PUT", "/v2/user_auth", &json, Some(data.as_bytes())).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    // and then the README's own commands, as somebody would who tries both
    let token = exports[0].strip_prefix("export TOKEN=").unwrap();
    let shell = Shell::new();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), shell.path("fixtures")).unwrap();
    // what needs a CouchDB, and what never ends, is tried elsewhere
    for (document, left_out) in [("README.md", "couchdb.example.com"), ("docs/api.md", "curl -N")] {
        let page = page(document);
        let of_users =
            |block: &&str| !block.contains(left_out) && !block.contains("cargo ") && !block.contains("scripts/");
        let script: String = blocks(&page, "sh").into_iter().filter(of_users).collect();
        assert!(script.contains("PUT"), "{document}");
        let script = script.replace("127.0.0.1:8000", address).replace("curl ", "curl -sSf ");
        let output = shell.run(&script, &[("TOKEN", token)]);
        assert!(output.status.success(), "{document}: {output:?}");
    }
    let sent = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}
