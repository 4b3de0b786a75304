//! The configuration file: what it sets, what goes before it, what is wrong with one, and what is told of where a
//! setting comes from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::common::client;
use crate::common::program::{Served, program};

/// A file that its owner and its group alone can read.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (folder, path)
}

fn run(config: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut program = program();
    program.args(arguments).arg("--config").arg(config).envs(environment.iter().copied());
    program.output().unwrap()
}

/// What holds, as it is printed.
fn printed(config: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = run(config, environment, &[&["serve", "--print-config"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is wrong with a file, in one line that names it.
fn refused(text: &str) -> String {
    let (_folder, path) = file(text);
    let output = run(&path, &[], &["serve"]);
    assert_eq!(output.status.code(), Some(2), "{text}: {output:?}");
    assert!(output.stdout.is_empty(), "{text}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.trim_end().lines().count(), 1, "{text}: {error}");
    assert!(error.contains(path.to_str().unwrap()), "{text}: {error}");
    error.replace(path.to_str().unwrap(), "FILE")
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let (_folder, path) = file("max-url = 5\nmax-body = 6\nmax-rows = 7\n# nothing\nlog-format = \"json\"\n");
    let environment = [("CROSSBAR_MAX_URL", "15"), ("CROSSBAR_MAX_BODY", "16")];
    let text = printed(&path, &environment, &["--max-url", "25"]);
    let config = path.display();
    for line in [
        "max-url = 25  # flag".to_owned(),
        "max-body = 16  # environment, CROSSBAR_MAX_BODY".to_owned(),
        format!("max-rows = 7  # {config}:3"),
        format!("log-format = \"json\"  # {config}:5"),
        "max-columns = 10000  # default".to_owned(),
        "demo = false  # default".to_owned(),
        "# admin-listen is not set".to_owned(),
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line}: {text}");
    }
}

#[test]
fn what_is_printed_is_taken_again() {
    let (_folder, path) = file(
        "store = [\"http://one:5984\", \"http://two:5984\"]\ntrusted-proxy = [\"::1\", \"10.0.0.1\"]\ncouch-proxy = true\n\
         auth-cache = 0.5\nworkers = 2\namqp-file = \"/a \\\"b\\\" \u{e9}\"\n",
    );
    let first = printed(&path, &[], &[]);
    for line in [
        "store = [\"http://one:5984\", \"http://two:5984\"]",
        "trusted-proxy = [\"::1\", \"10.0.0.1\"]",
        "couch-proxy = true",
        "auth-cache = \"0.5\"",
        "workers = 2",
        "amqp-file = \"/a \\\"b\\\" \u{e9}\"",
    ] {
        assert!(first.contains(&format!("{line}  # {}:", path.display())), "{line}: {first}");
    }
    let (_folder, again) = file(&first);
    let settings = |text: &str| {
        let lines = text.lines().map(|line| line.split("  # ").next().unwrap().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(settings(&printed(&again, &[], &[])), settings(&first));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_its_key() {
    for (text, told) in [
        ("max-requests = 5\n\nmax-request = 5", "FILE:3: unknown key max-request: is max-requests meant?"),
        ("max_url = 5", "FILE:1: unknown key max_url: is max-url meant?"),
        ("xyzzy = 5", "FILE:1: unknown key xyzzy: a key is the name of a flag"),
        ("[server]\nlisten = \"[::1]:80\"", "FILE:1: unknown key server: there are no tables"),
        ("config = \"other\"", "FILE:1: unknown key config"),
        ("print-config = true", "FILE:1: unknown key print-config"),
        ("\nmax-requests = 0", "FILE:2: max-requests: invalid value '0'"),
        ("max-requests = \"many\"", "FILE:1: max-requests: invalid value 'many'"),
        ("rate-limit = \"some\"", "possible values: off, sign-in, kazoo"),
        ("keep-alive = 86401", "FILE:1: keep-alive: invalid value '86401'"),
        ("demo = \"yes\"", "FILE:1: demo: it is true or false, and no string"),
        ("listen = [\"127.0.0.1:0\"]", "FILE:1: listen: it is a text or a number, and no array"),
        ("max-url = true", "FILE:1: max-url: it is a text or a number, and no boolean"),
        ("max-url = 1979-05-27", "FILE:1: max-url: it is a text or a number, and no datetime"),
        ("workers = 1\nworkers = 2", "FILE:2: duplicate key"),
        ("workers = ", "FILE:1: "),
        ("store = \"data\"\nstore-file = \"store\"", "FILE: the argument '--store"),
        ("tls-cert = \"cert.pem\"", "--tls-key"),
    ] {
        if text.starts_with("tls-cert") {
            // what is missing may stand in any of the places: it is told as on the command line
            let (_folder, path) = file(text);
            let output = run(&path, &[], &["serve"]);
            assert_eq!(output.status.code(), Some(2));
            assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{output:?}");
            continue;
        }
        let error = refused(text);
        assert!(error.contains(told), "{text}: {error}");
    }
    let output = run(Path::new("no-such-file.toml"), &[], &["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-file.toml: No such file"), "{output:?}");
}

#[test]
fn what_goes_before_a_file_puts_aside_what_conflicts_with_it() {
    let (_folder, path) = file("store = \"of-the-file\"\ntls-key = \"key.pem\"\n");
    let text = printed(&path, &[], &["--store-file", "other", "--tls-cert", "cert.pem"]);
    assert!(text.contains("\n# store is not set\nstore-file = \"other\"  # flag\n"), "{text}");
    assert!(text.contains("tls-cert = \"cert.pem\"  # flag\n"), "{text}");
    let text = printed(&path, &[("CROSSBAR_DEMO", "true")], &["--tls-cert", "cert.pem"]);
    assert!(text.contains("# store is not set\n") && text.contains("demo = true  # environment"), "{text}");
}

#[test]
fn a_password_is_shown_to_nobody() {
    let secret = "s3cr3t";
    let text = format!("store = \"http://admin:{secret}@127.0.0.1:1\"\namqp = \"amqp://guest:{secret}@127.0.0.1:1\"\n");
    let (_folder, path) = file(&text);
    let told = printed(&path, &[], &[]);
    assert!(!told.contains(secret), "{told}");
    assert!(told.contains("# store = \"http://***@127.0.0.1:1\"  # "), "{told}");
    // it is used
    let output = run(&path, &[], &["doctor"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("127.0.0.1:1"), "{output:?}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(&path, &[], &["serve", "--print-config"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(":1: store: it holds a password") && error.contains("store-file"), "{error}");
    assert!(!error.contains(secret));
    // what is no TOML may be a password
    let error = refused(&format!("store = \"http://admin:{secret}@127.0.0.1:1\n"));
    assert!(!error.contains(secret), "{error}");
}

#[test]
fn the_service_is_what_its_file_says_and_health_finds_it_by_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (_folder, path) = file(&format!("store = {store:?}\nadmin-listen = \"127.0.0.1:0\"\nmax-url = 100\n"));
    let served = Served::start(&["--config", path.to_str().unwrap()]);
    assert!(store.is_dir());
    let long = format!("/v2/{}", "x".repeat(100));
    assert_eq!(client::send(served.address, "GET", &long, &[], None).unwrap().status, 414);

    let apart = Served::start(&["--store", folder.path().join("other").to_str().unwrap()]);
    let (_folder, path) = file(&format!("listen = \"{}\"\n", apart.address));
    let output = run(&path, &[], &["health"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"ready\n"[..]), "{output:?}");
    let url = format!("http://{}", apart.address);
    assert!(program().args(["health", &url]).status().unwrap().success());
    drop(apart);
    let output = run(&path, &[], &["health"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does the service run"), "{output:?}");
}

#[test]
fn nothing_has_colours_where_nobody_sees_them() {
    for (arguments, environment) in [(&["--help"][..], None), (&["frob"], None), (&["serve", "--help"], Some("1"))] {
        let mut program = program();
        program.args(arguments).envs(environment.map(|value| ("NO_COLOR", value)));
        let output = program.output().unwrap();
        let written = [output.stdout, output.stderr].concat();
        assert!(!written.is_empty() && !written.contains(&0x1b), "{arguments:?}");
    }
}

#[test]
fn man_pages_and_completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    assert!(program().arg("man").arg(folder.path()).status().unwrap().success());
    let serve = fs::read_to_string(folder.path().join("crossbar-groups-serve.1")).unwrap();
    assert!(serve.contains("CROSSBAR_LISTEN"), "{serve}");
    for shell in ["bash", "zsh", "fish"] {
        let output = program().args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("migrate") && script.contains("max-requests"), "{shell}");
    }
}
