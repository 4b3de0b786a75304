//! The program as its users start it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

/// The program, to be given arguments. What the tests' own environment sets for it does not count.
pub fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_crossbar-groups"));
    program.env_remove("RUST_LOG").env_remove("CROSSBAR_STORE").stdin(Stdio::null());
    program
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// The service as a process of its own.
pub struct Served {
    pub process: Child,
    pub address: SocketAddr,
}

impl Served {
    pub fn start(arguments: &[&str]) -> Self {
        let mut process = program()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        // what it logs further is read, so that it can go on
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Self { process, address }
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
        // it has ended by itself, unless a test failed
        let _ = self.process.kill();
    }
}
