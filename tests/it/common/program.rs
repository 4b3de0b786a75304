//! The program as its users start it.

use std::process::{Command, Output, Stdio};

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
