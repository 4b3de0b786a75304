//! The program as its users start it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// The program, to be given arguments. What the tests' own environment sets for it does not count.
pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_crossbar-groups"));
    for variable in ["RUST_LOG", "CROSSBAR_STORE", "CREDENTIALS_DIRECTORY"] {
        program.env_remove(variable);
    }
    program.stdin(Stdio::null());
    program
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// Fails with one line on standard error that says `why`.
pub fn refuses(arguments: &[&str], why: &str) {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert_eq!(error.trim_end().lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.contains(why), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

/// The service as a process of its own. It ends with this at the latest.
pub struct Served {
    pub process: Child,
    pub address: SocketAddr,
    log: Mutex<Receiver<String>>,
}

impl Served {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(&[], arguments)
    }

    /// The same with more variables in its environment.
    pub fn start_with(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut program = program();
        program.envs(environment.iter().copied());
        Self::of(program, arguments)
    }

    /// The same of a program that is started in another way.
    pub fn of(mut program: Command, arguments: &[&str]) -> Self {
        let mut process = program
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (told, log) = mpsc::channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        // all of it is read, wanted or not, so that the service can go on
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(told.send(line))));
        let mut served = Self { process, address: ([127, 0, 0, 1], 0).into(), log: Mutex::new(log) };
        let line = served.logged("listening on").pop().unwrap();
        served.address = line.rsplit("://").next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        served
    }

    /// The further lines of its log up to the one that holds a text.
    pub fn logged(&self, text: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(text)) {
            let line = self.log.lock().unwrap().recv_timeout(Duration::from_secs(20));
            lines.push(line.unwrap_or_else(|_| panic!("no {text:?}: {lines:?}")));
        }
        lines
    }

    /// The most memory that it has held, in bytes; None where the system does not tell it.
    pub fn peak(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it holds, in bytes; None where the system does not tell it.
    pub fn held(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<u64>().unwrap() * 1024)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
