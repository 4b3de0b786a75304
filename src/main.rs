//! The command line of [`crossbar_groups`]. A failure is one line on standard error; the exit status is 1,
//! or 2 where the command line itself was wrong.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crossbar_groups::config::{Command, CommandLine};
use crossbar_groups::logging;

/// Memory that is no longer needed goes back to the system, also after many requests at once; glibc's own keeps it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            eprintln!("{}", commands::in_one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => {
            return match help.print() {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let log = match &arguments.command {
        Command::Serve(arguments) => logging::start_aside(arguments.log_format),
        _ => Ok(logging::start()),
    };
    let log = match log {
        Ok(log) => log,
        Err(error) => {
            eprintln!("error: no log: {error}");
            return ExitCode::FAILURE;
        }
    };
    match actix_web::rt::System::new().block_on(commands::run(arguments.command)) {
        Ok(status) => {
            log.end("");
            status
        }
        Err(failure) => {
            log.end(&format!("error: {failure}\n"));
            failure.status()
        }
    }
}
