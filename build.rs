//! Tells the program the commit that it is built of: `CROSSBAR_COMMIT`, or git's, or `unknown`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=CROSSBAR_COMMIT");
    let given = env::var("CROSSBAR_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(of_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=CROSSBAR_COMMIT={commit}");
    // where nothing is named, cargo looks at every file
    println!("cargo::rerun-if-changed=build.rs");
}

/// The commit of this folder, if it is a repository's own; it is asked again when another one is checked out or made.
fn of_git() -> Option<String> {
    // a folder of somebody else's repository has a prefix in it
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    // the log of HEAD is there where a branch has no file yet
    let places = [Some("HEAD".to_owned()), Some("logs/HEAD".to_owned()), branch];
    let files = places.into_iter().flatten().filter_map(|place| git(&["rev-parse", "--git-path", &place]));
    for file in files.filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    Some(commit)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
