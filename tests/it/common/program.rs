//! The program as its users start it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

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

/// The service as a process of its own. It ends with this at the latest.
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
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address = line.rsplit("://").next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
        // all of it is read, so that the service can go on
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, address }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
