//! `completions` and `man`: what a shell and `man` know of the command line.

use std::io;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crossbar_groups::config::CommandLine;

use super::output::print;

/// Prints what completes the command line in a shell.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let (mut command, mut script) = (CommandLine::command(), Vec::new());
    generate(shell, &mut command, "crossbar-groups", &mut script);
    print(&String::from_utf8(script)?)
}

/// Writes a man page of each command into a folder, which is made if it is not there.
pub fn man(folder: &Path) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(CommandLine::command(), folder)
    };
    write().with_context(|| format!("{}: can't write man pages", folder.display()))
}
