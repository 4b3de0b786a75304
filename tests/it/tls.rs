//! TLS: who is shown which certificate, and whom the service believes.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::program::{Served, refuses, run};
use crate::common::tls::{Authority, Issued, TlsServer};
use crate::common::{Kind, TestApp, TestStore, amqp_url, client, couchdb_url, named};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The arguments of who answers with a certificate.
fn shown(issued: &Issued) -> [&str; 4] {
    ["--tls-cert", text(&issued.certificate), "--tls-key", text(&issued.key)]
}

#[test]
fn with_a_certificate_it_answers_over_tls_alone() {
    let (authority, test) = (Authority::new(), TestStore::new(Kind::Embedded));
    let issued = authority.issue("localhost");
    let app = TestApp::start(test.store(), &[&shown(&issued)[..], &["--admin-listen", "127.0.0.1:0"]].concat());

    let mut stream = authority.connect(app.address).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(client::ask(&mut stream, "GET", "/", &[], None).unwrap().status, 200);
    assert!(client::send(app.address, "GET", "/", &[], None).is_err(), "in the clear");
    // on loopback the admin's address stays as it is
    assert_eq!(client::send(app.admin_address, "GET", "/healthz", &[], None).unwrap().status, 200);

    let everywhere = TestApp::start(test.store(), &[&shown(&issued)[..], &["--admin-listen", "0.0.0.0:0"]].concat());
    let address = ([127, 0, 0, 1], everywhere.admin_address.port()).into();
    let stream = authority.connect(address).unwrap();
    assert_eq!(client::ask(stream, "GET", "/healthz", &[], None).unwrap().status, 200);
    assert!(client::send(address, "GET", "/healthz", &[], None).is_err(), "in the clear");
}

#[test]
fn hangup_brings_a_new_certificate_and_ends_no_connection() {
    let (authority, store) = (Authority::new(), tempfile::tempdir().unwrap());
    let issued = authority.issue("localhost");
    let served = Served::start(&[&shown(&issued)[..], &["--store", text(store.path())]].concat());
    let certificate = || authority.connect(served.address).unwrap().conn.peer_certificates().unwrap()[0].to_vec();
    let mut before = authority.connect(served.address).unwrap();
    let mut still_answers = || assert_eq!(client::ask(&mut before, "GET", "/healthz", &[], None).unwrap().status, 200);
    still_answers();

    let first = certificate();
    authority.issue("localhost");
    assert_eq!(certificate(), first);
    served.signal("-HUP");
    served.logged("the certificate is read again");
    let second = certificate();
    assert_ne!(second, first);
    still_answers();

    // the key is none of the new certificate
    let key = fs::read(&issued.key).unwrap();
    authority.issue("localhost");
    fs::write(&issued.key, key).unwrap();
    served.signal("-HUP");
    let line = served.logged("the certificate stays as it was").pop().unwrap();
    assert!(line.contains("ERROR") && line.contains(text(&issued.key)), "{line}");
    assert_eq!(certificate(), second);
    still_answers();
}

#[test]
fn hangup_without_a_certificate_changes_nothing() {
    let store = tempfile::tempdir().unwrap();
    let served = Served::start(&["--store", text(store.path())]);
    served.signal("-HUP");
    served.logged("no certificate");
    assert_eq!(client::send(served.address, "GET", "/healthz", &[], None).unwrap().status, 200);
}

#[test]
fn a_file_that_can_t_be_used_is_named_and_not_repeated() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (issued, other) = (authority.issue("localhost"), authority.issue("other"));
    let (certificate, key) = (text(&issued.certificate), text(&issued.key));
    let file = |name: &str, content: &str| {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (missing, empty) = (folder.path().join("missing"), file("empty", ""));
    let damaged = file("damaged", "-----BEGIN CERTIFICATE-----\ns3cret!\n-----END CERTIFICATE-----\n");
    let no_der = file("no-der", "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n");
    let locked = file("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc3cret\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let broken = file("broken", "-----BEGIN PRIVATE KEY s3cret\n");
    for at in [&locked, &broken, &empty, &damaged] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let store = folder.path().join("store");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", text(&store)];
    let fails = |arguments: &[&str], why: &str| {
        refuses(&[&serve[..], arguments].concat(), why);
        let error = run(&[&serve[..], arguments].concat()).stderr;
        assert!(!String::from_utf8_lossy(&error).contains("s3cret"), "{arguments:?}");
    };
    for bad in [text(&missing), &empty, &damaged, &no_der] {
        fails(&["--tls-cert", bad, "--tls-key", key], bad);
        fails(&["--ca", bad], bad);
    }
    for bad in [text(&missing), &empty, &damaged, &locked, &broken, text(&other.key)] {
        fails(&["--tls-cert", certificate, "--tls-key", bad], bad);
    }
    fails(&["--tls-cert", certificate], "--tls-key");
    fails(&["--tls-key", key], "--tls-cert");
}

#[test]
fn a_couchdb_over_tls_is_believed_by_its_authority_and_its_name() {
    let Some(couchdb) = couchdb_url() else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (authority_file, stranger_file) = (authority.file(), stranger.file());
    let ours = TlsServer::before(&couchdb, &authority.issue("localhost"));
    let elsewhere = TlsServer::before(&couchdb, &authority.issue("elsewhere.example.com"));
    let opened = |server: &TlsServer, trusted: &[&str]| {
        let output = run(&[&["export", "--store", &server.url(&couchdb)], trusted, &["no/such/database"]].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    let by_authority = ["--ca", text(&authority_file)];
    assert!(opened(&ours, &by_authority).contains("no/such/database"));
    for (server, trusted) in [(&ours, &[][..]), (&ours, &["--ca", text(&stranger_file)]), (&elsewhere, &by_authority)] {
        let error = opened(server, trusted);
        assert!(error.contains("can't be reached") && error.contains("certificate"), "{trusted:?}: {error}");
    }
}

#[test]
fn a_broker_over_tls_is_believed_by_its_authority_and_its_name() {
    let Some(amqp) = amqp_url() else { return };
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (authority_file, stranger_file) = (authority.file(), stranger.file());
    let by_authority = ["--ca", text(&authority_file)];
    let test = TestStore::new(Kind::Embedded);
    let account = test.account();
    for (name, trusted, is_believed) in [
        ("localhost", &by_authority[..], true),
        ("localhost", &[], false),
        ("localhost", &["--ca", text(&stranger_file)], false),
        ("elsewhere.example.com", &by_authority, false),
    ] {
        let server = TlsServer::before(&amqp, &authority.issue(name));
        let app = TestApp::start(test.store(), &[&["--amqp", &server.url(&amqp)], trusted].concat());
        if is_believed {
            // it has no notice to wait for otherwise when it stops
            app.send("PUT", &account.path("groups"), &account.token, named("A group"));
        }
        let sent = || app.metrics()["crossbar_notices_sent_total"] as usize;
        let started = Instant::now();
        while sent() + server.refused() == 0 {
            assert!(started.elapsed() < Duration::from_secs(20), "{name} {trusted:?}");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!((sent() == 1, server.refused() == 0), (is_believed, is_believed), "{name} {trusted:?}");
    }
}
