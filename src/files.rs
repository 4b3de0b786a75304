//! Files that operators name: secrets, keys, certificates. What is wrong with one is told by its name, and nothing of what
//! it holds.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// More bytes than these are none of what we read.
const LONGEST: u64 = MEBIBYTE;

const MEBIBYTE: u64 = 1024 * 1024;

/// In a file's mode: who is neither its owner nor of its group may read it.
const OTHERS_READ: u32 = 0o004;

/// The variable that names the folder in which systemd gives a service its credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A file that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", file.display())]
pub struct BadFile {
    file: PathBuf,
    why: String,
}

impl BadFile {
    /// What is wrong with a file.
    pub fn new(file: &Path, why: impl ToString) -> Self {
        Self { file: file.to_owned(), why: why.to_string() }
    }
}

impl From<BadFile> for io::Error {
    fn from(bad: BadFile) -> Self {
        Self::other(bad)
    }
}

/// The bytes of a file.
///
/// Errors: it can't be read, or has more than 1 MiB.
pub fn read(file: &Path) -> Result<Vec<u8>, BadFile> {
    let opened = File::open(file).map_err(|error| BadFile::new(file, error))?;
    read_opened(file, &opened, LONGEST)
}

/// The same of one that may have so many MiB.
pub fn read_large(file: &Path, mebibytes: u64) -> Result<Vec<u8>, BadFile> {
    let opened = File::open(file).map_err(|error| BadFile::new(file, error))?;
    read_opened(file, &opened, mebibytes * MEBIBYTE)
}

/// The same of a file that nobody but its owner and its group should read. Where others may, the log says so.
pub fn read_secret(file: &Path) -> Result<Vec<u8>, BadFile> {
    let (bytes, others_read) = read_telling(file)?;
    if others_read {
        log::warn!(
            "{} holds a secret, and everybody on this machine can read it: take that from others",
            file.display()
        );
    }
    Ok(bytes)
}

/// The bytes of a file, and whether everybody on this machine can read it.
///
/// Errors: see [`read`].
pub fn read_telling(file: &Path) -> Result<(Vec<u8>, bool), BadFile> {
    let opened = File::open(file).map_err(|error| BadFile::new(file, error))?;
    let mode = opened.metadata().map_err(|error| BadFile::new(file, error))?.permissions().mode();
    Ok((read_opened(file, &opened, LONGEST)?, mode & OTHERS_READ != 0))
}

/// The file of a credential that systemd gives the service, if it does.
pub fn credential(name: &str) -> Option<PathBuf> {
    let file = Path::new(&env::var_os(CREDENTIALS)?).join(name);
    file.exists().then_some(file)
}

fn read_opened(file: &Path, opened: &File, longest: u64) -> Result<Vec<u8>, BadFile> {
    let mut bytes = Vec::new();
    let read = opened.take(longest + 1).read_to_end(&mut bytes).map_err(|error| BadFile::new(file, error))?;
    if read as u64 > longest {
        return Err(BadFile::new(file, format!("it is longer than {} MiB", longest / MEBIBYTE)));
    }
    Ok(bytes)
}
