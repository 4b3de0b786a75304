//! What commands print on standard output.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

/// Writes a text; whoever closed standard output has seen enough.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write"),
    }
}

/// Writes a report, for people or for scripts.
pub fn print_report(report: &(impl Serialize + ToString), json: bool) -> anyhow::Result<()> {
    if json { print_json(report) } else { print(&report.to_string()) }
}

/// Writes a report for scripts.
pub fn print_json(report: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(report)?))
}

/// The exit status of a report.
pub fn status(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
