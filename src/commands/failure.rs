//! Why a command was not done: what is wrong and, where that is known, what to do about it, in one line.

use std::fmt;
use std::process::ExitCode;

use crossbar_groups::config::NoStore;
use crossbar_groups::{OpenError, backup, databases, dump, store};

/// The exit status after a wrong command line.
const WRONG_COMMAND_LINE: u8 = 2;

/// What stands between what is wrong and what to do.
const DASH: &str = " — ";

/// The command line asks for what can't be, as is known once all of it is read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongCommandLine(pub &'static str);

/// Why a command was not done.
#[derive(Debug)]
pub struct Failure {
    text: String,
    is_of_command_line: bool,
}

impl Failure {
    /// The exit status.
    pub fn status(&self) -> ExitCode {
        if self.is_of_command_line { ExitCode::from(WRONG_COMMAND_LINE) } else { ExitCode::FAILURE }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let of_store = error.downcast_ref().is_some_and(|no_store| !matches!(no_store, NoStore::File(_)));
        let is_of_command_line = of_store || error.is::<WrongCommandLine>();
        let text = match remedy(&error) {
            Some(remedy) => format!("{error:#}{DASH}{remedy}"),
            None => format!("{error:#}"),
        };
        Self { text, is_of_command_line }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn remedy(error: &anyhow::Error) -> Option<&'static str> {
    let of_store = || error.downcast_ref().and_then(store::Error::remedy);
    let of_opening = || error.downcast_ref().and_then(OpenError::remedy);
    let of_database = || error.downcast_ref().and_then(databases::Error::remedy);
    let of_dump = || error.downcast_ref().and_then(dump::Error::remedy);
    let of_backup = || error.downcast_ref().and_then(backup::Error::remedy);
    of_store().or_else(of_opening).or_else(of_database).or_else(of_dump).or_else(of_backup)
}

/// What clap says of a wrong command line, in one line: what is wrong, and what it takes to be meant.
pub fn in_one_line(error: &clap::Error) -> String {
    let message = error.to_string();
    let mut paragraphs =
        message.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let wrong = paragraphs.next().unwrap_or_default();
    let tips: String = paragraphs.filter(|of| of.starts_with("tip: ")).map(|tip| format!("; {tip}")).collect();
    // the rest is the help, which has a flag of its own
    format!("{wrong}{tips} (see --help)")
}
