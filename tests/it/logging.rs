//! The log: no request waits for it, and no line of it is lost unseen.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::program::program;
use crate::common::{client, put_an_account};

/// A service whose log is read only where a test does so. It ends with this at the latest.
struct Service {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Service {
    /// Starts it, and gives what is left of its log after the line that tells its address.
    fn start(format: &str) -> (Self, ChildStderr) {
        let folder = tempfile::tempdir().unwrap();
        put_an_account(folder.path());
        let store = folder.path().to_str().unwrap();
        let mut process = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", format, "--store", store])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = process.stderr.take().unwrap();
        let mut line = String::new();
        while !line.ends_with('\n') {
            let mut byte = [0];
            log.read_exact(&mut byte).unwrap();
            line.push(byte[0].into());
        }
        let address = line.split("http://").nth(1).unwrap();
        let address = address.trim_end().split('"').next().unwrap().parse().unwrap();
        (Self { process, address, _folder: folder }, log)
    }

    /// Sends so many requests over one connection, whose ids begin with a word.
    fn ask(&self, number: usize, word: &str, path: &str) {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for at in 0..number {
            let id = format!("{word}-{at}");
            let answer = client::ask(&stream, "GET", path, &[("X-Request-ID", &id)], None).unwrap();
            assert!(answer.status < 500, "{answer:?}");
        }
    }

    fn is_alive(&self) -> bool {
        client::send(self.address, "GET", "/healthz", &[], None).unwrap().status == 200
    }

    fn lost(&self) -> usize {
        let metrics = client::send(self.address, "GET", "/metrics", &[], None).unwrap().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("crossbar_log_lines_lost_total "));
        line.unwrap().parse().unwrap()
    }

    fn terminate(&self) {
        let sent = std::process::Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines of a log, which is read to its end, wanted or not.
fn lines(log: ChildStderr) -> Receiver<String> {
    let (sends, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(log).lines().map_while(Result::ok).try_for_each(|line| sends.send(line)));
    lines
}

/// A path that fills the log soon.
fn long_path() -> String {
    "/v2".to_owned() + &format!("/{}", "x".repeat(60)).repeat(200)
}

#[test]
fn a_log_that_nobody_reads_holds_up_nothing_and_what_it_lost_is_said() {
    const EACH: usize = 1_000;
    let (mut service, log) = Service::start("json");
    let path = long_path();
    thread::scope(|scope| {
        for word in ["a", "b"] {
            let (service, path) = (&service, &path);
            scope.spawn(move || service.ask(EACH, word, path));
        }
    });
    assert!(service.is_alive());
    let lost = service.lost();
    assert!(lost > 0, "the pipe, or the queue, takes all of it");

    let read = lines(log);
    let mut lines: Vec<Value> = Vec::new();
    while !lines.last().is_some_and(|line| line["lines_lost"].is_number()) {
        let line = read.recv_timeout(Duration::from_secs(20)).unwrap();
        lines.push(serde_json::from_str(&line).unwrap());
    }
    service.ask(3, "after", "/v2/about");
    service.terminate();
    assert_eq!(service.process.wait().unwrap().code(), Some(0));
    lines.extend(read.iter().map(|line| serde_json::from_str::<Value>(&line).unwrap()));
    let of = |word: &str| {
        let ids = lines.iter().filter_map(|line| line["request_id"].as_str());
        ids.filter(|id| id.starts_with(word)).count()
    };
    assert_eq!(of("a-") + of("b-") + lost, 2 * EACH);
    let said: Vec<&Value> = lines.iter().filter(|line| line["lines_lost"].is_number()).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["lines_lost"], lost, "{said:?}");
    assert_eq!(said[0]["level"], "error");
    assert_eq!(of("after-"), 3);
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_the_service_from_ending() {
    let (mut service, _log) = Service::start("text");
    service.ask(50, "a", &long_path());
    let started = Instant::now();
    service.terminate();
    assert_eq!(service.process.wait().unwrap().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_log_that_can_not_be_written_is_counted_and_stops_nothing() {
    let (service, log) = Service::start("text");
    drop(log);
    service.ask(20, "a", "/v2/about");
    assert!(service.is_alive());
    let started = Instant::now();
    while service.lost() < 20 {
        assert!(started.elapsed() < Duration::from_secs(20), "{} lines", service.lost());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(service.lost(), 20);
}

#[test]
fn whoever_ends_the_service_has_all_lines() {
    const EACH: usize = 1_500;
    for format in ["text", "json"] {
        let (mut service, log) = Service::start(format);
        let lines = lines(log);
        let words = ["a", "b", "c", "d"];
        thread::scope(|scope| {
            for word in words {
                let service = &service;
                scope.spawn(move || service.ask(EACH, word, "/v2/about"));
            }
        });
        service.terminate();
        assert_eq!(service.process.wait().unwrap().code(), Some(0));
        let lines: Vec<String> = lines.iter().collect();
        for word in words {
            let ids = lines.iter().filter_map(|line| {
                let (_, after) = line.split_once("request_id").unwrap_or_default();
                let id: String = after.chars().skip_while(|c| "\":=".contains(*c)).collect();
                let id = id.split([' ', '"']).next().unwrap_or_default();
                id.strip_prefix(word)?.strip_prefix('-')?.parse().ok()
            });
            assert_eq!(ids.collect::<Vec<usize>>(), (0..EACH).collect::<Vec<_>>(), "{format} {word}");
        }
        assert!(lines.last().unwrap().contains("SIGTERM"), "{:?}", lines.last());
    }
}
