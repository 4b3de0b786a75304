//! What commands print on standard output.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use indicatif::ProgressBar;
use serde::Serialize;

use crossbar_groups::operate::progress_bar;

/// A bar of progress for people; scripts see none.
pub fn bar(json: bool) -> ProgressBar {
    if json { ProgressBar::hidden() } else { progress_bar() }
}

/// What came of writing to standard output: whoever closed it has seen enough.
pub fn written(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a text.
pub fn print(text: &str) -> anyhow::Result<()> {
    written(io::stdout().write_all(text.as_bytes())).context("can't write")
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
