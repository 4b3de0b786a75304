//! The commands of the pages for people, run as whoever follows them would.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::program::program;

/// A page of this repository.
pub fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The blocks of a page that are in this language.
pub fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// A shell in a folder of its own, on whose path the program is.
pub struct Shell(TempDir);

impl Shell {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join(".programs");
        fs::create_dir(&programs).unwrap();
        symlink(program().get_program(), programs.join("crossbar-groups")).unwrap();
        Self(folder)
    }

    /// What is called so in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs commands up to the first that fails, with more variables.
    pub fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.path(".programs").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(self.0.path()).stdin(Stdio::null()).env("PATH", path);
        for (variable, _) in program().get_envs() {
            shell.env_remove(variable);
        }
        shell.envs(environment.iter().copied()).output().unwrap()
    }
}
