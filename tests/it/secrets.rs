//! Secrets in files: they are used, and stand nowhere else.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::common::program::{Served, program, refuses, run};
use crate::common::tls::write_secret;

const SECRET: &str = "s3cret";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What greets as a CouchDB, and tells who asked.
struct Greeter {
    url: String,
    asked: Receiver<String>,
}

impl Greeter {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://admin:{SECRET}@{}", listener.local_addr().unwrap());
        let (told, asked) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                for line in lines.take_while(|line| !line.is_empty()) {
                    let told_as = line.to_ascii_lowercase().starts_with("authorization: basic ").then_some(line);
                    // nobody may want to know
                    told_as.map(|line| told.send(line.rsplit(' ').next().unwrap().to_owned()));
                }
                let body = r#"{"couchdb":"Welcome","version":"3.5.0"}"#;
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                    .unwrap();
            }
        });
        Self { url, asked }
    }

    /// Somebody asked who knows the password.
    fn was_asked(&self) {
        let credentials = self.asked.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(STANDARD.decode(credentials).unwrap(), format!("admin:{SECRET}").as_bytes());
    }
}

/// Neither the process list nor the environment of a process has the secret.
fn keeps_it(served: &Served) {
    for of in ["cmdline", "environ"] {
        let told = fs::read(format!("/proc/{}/{of}", served.process.id())).unwrap();
        assert!(!told.is_empty());
        assert!(!String::from_utf8_lossy(&told).contains(SECRET), "{of}");
    }
}

#[test]
fn the_stores_and_the_brokers_urls_are_taken_from_files() {
    let (couchdb, folder) = (Greeter::start(), tempfile::tempdir().unwrap());
    let (store, amqp) = (folder.path().join("store"), folder.path().join("amqp"));
    write_secret(&store, &format!("\n{}\r\n", couchdb.url));
    write_secret(&amqp, &format!("amqp://guest:{SECRET}@127.0.0.1:1\n"));

    let served = Served::start(&["--store-file", text(&store), "--amqp-file", text(&amqp)]);
    couchdb.was_asked();
    keeps_it(&served);
    let lines = served.logged("amqp://127.0.0.1:1");
    assert!(!lines.concat().contains(SECRET), "{lines:?}");

    // systemd's, where nothing else is named
    let served = Served::start_with(&[("CREDENTIALS_DIRECTORY", text(folder.path()))], &[]);
    couchdb.was_asked();
    keeps_it(&served);
    served.logged("amqp://127.0.0.1:1");
}

#[test]
fn a_store_that_is_named_goes_before_the_credential() {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("store"), "neither a URL");
    let embedded = folder.path().join("embedded");
    let credentials = ("CREDENTIALS_DIRECTORY", text(folder.path()));
    Served::start_with(&[credentials], &["--store", text(&embedded)]);
    Served::start_with(&[credentials, ("CROSSBAR_STORE", text(&embedded))], &[]);
    let error = program().arg("doctor").envs([credentials]).output().unwrap().stderr;
    assert!(String::from_utf8_lossy(&error).contains(text(&folder.path().join("store"))));
}

#[test]
fn every_command_takes_the_stores_url_from_a_file() {
    let (couchdb, folder) = (Greeter::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("store");
    // of the first node nobody knows
    write_secret(&file, &format!("http://admin:{SECRET}@127.0.0.1:1\n{}\n", couchdb.url));
    let dump = folder.path().join("dump");
    fs::write(&dump, r#"{"db": "accounts", "docs": []}"#).unwrap();
    for command in [
        &["doctor"][..],
        &["audit"],
        &["views", "check"],
        &["views", "install"],
        &["export", "accounts"],
        &["import", text(&dump)],
    ] {
        let output = run(&[command, &["--store-file", text(&file)]].concat());
        couchdb.was_asked();
        assert!(!String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains(SECRET), "{command:?}");
    }
}

#[test]
fn what_is_wrong_with_a_secret_is_told_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, missing) = (folder.path().join("secret"), folder.path().join("missing"));
    let store = folder.path().join("embedded");
    let store = ["--listen", "127.0.0.1:0", "--store", text(&store)];
    refuses(&["serve", "--store-file", text(&missing)], text(&missing));
    refuses(&[&["serve", "--amqp-file", text(&missing)], &store[..]].concat(), text(&missing));
    for content in [
        "",
        "\n \n",
        SECRET,
        "s3cret://host",
        "admin:s3cret@http://host",
        "http://s3cret@",
        "http://admin:s3cret@host:port",
        "http://admin:s3cret@127.0.0.1:1\ns3cret",
        "http://admin:s3cret@127.0.0.1:1/s3cret",
        "http://admin:s3cret@127.0.0.1:1",
    ] {
        write_secret(&file, content);
        for arguments in [
            &["serve", "--store-file", text(&file)][..],
            &["doctor", "--store-file", text(&file)],
            &[&["serve", "--amqp-file", text(&file)], &store[..]].concat(),
        ] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(1), "{content:?} {arguments:?}");
            let told = [output.stdout, output.stderr].concat();
            assert!(!told.is_empty() && !String::from_utf8_lossy(&told).contains(SECRET), "{content:?}: {arguments:?}");
        }
    }
    refuses(&["serve", "--store", "a", "--store-file", text(&file)], "--store-file");
    refuses(&["serve", "--demo", "--store-file", text(&file)], "--demo");
    refuses(&["serve", "--amqp", "amqp://h", "--amqp-file", text(&file)], "--amqp-file");
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    let (couchdb, folder) = (Greeter::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("store");
    write_secret(&file, &couchdb.url);
    let warns = || {
        let error = run(&["doctor", "--store-file", text(&file)]).stderr;
        String::from_utf8(error).unwrap().lines().any(|line| line.contains("WARN") && line.contains(text(&file)))
    };
    assert!(!warns());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(warns());
}
