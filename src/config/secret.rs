//! Values that may hold a password: on the command line, where an error must not repeat them, or in files, which keep
//! them out of process lists and environments.

use std::ffi::OsStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

use clap::Arg;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use crate::files::{self, BadFile};

/// Parses a value that may hold a password, which clap would repeat where it does not parse.
#[derive(Clone)]
pub(super) struct Secret<T>(PhantomData<T>);

impl<T> Secret<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> TypedValueParser for Secret<T>
where
    T: FromStr<Err: Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(&self, _: &clap::Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let argument = argument.map(Arg::to_string).unwrap_or_default();
        value.to_string_lossy().parse().map_err(|error: T::Err| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{argument}': {error}\n"))
        })
    }
}

/// The value that a file holds, white space around it left out. The parser's errors must not repeat it.
pub(super) fn read<T, E: Display>(file: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, BadFile> {
    let bytes = files::read_secret(file)?;
    let text = str::from_utf8(&bytes).map_err(|_| BadFile::new(file, "it is not UTF-8"))?;
    parse(text.trim()).map_err(|error| BadFile::new(file, error))
}

/// Whether a value holds a password: that of a URL.
pub(super) fn has_password(value: &str) -> bool {
    masked(value) != value
}

/// A value without the users and passwords of its URLs.
pub(super) fn masked(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let mut hosts = Vec::new();
    for part in rest.split("://") {
        match part.rsplit_once('@') {
            Some((_, host)) => hosts.push(format!("***@{host}")),
            None => hosts.push(part.to_owned()),
        }
    }
    // where not every URL has a user, what looks like one of its own may be the middle of a password
    match rest.rsplit_once('@') {
        Some((_, host)) if hosts.iter().any(|host| !host.starts_with("***@")) => format!("{scheme}://***@{host}"),
        _ => format!("{scheme}://{}", hosts.join("://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_left_in_what_is_shown() {
        for (value, shown) in [
            ("data", "data"),
            ("/a@b", "/a@b"),
            ("http://h:5984", "http://h:5984"),
            ("http://h1,https://h2", "http://h1,https://h2"),
            ("http://admin:pw@h:5984", "http://***@h:5984"),
            ("http://admin:p@,w@h1:5984,http://b:c@h2", "http://***@h1:5984,http://***@h2"),
            ("http://admin:x://pw@h", "http://***@h"),
            ("http://h1,http://b:c@h2", "http://***@h2"),
            ("amqps://guest:guest@h/vhost", "amqps://***@h/vhost"),
        ] {
            assert_eq!(masked(value), shown);
            assert_eq!(has_password(value), shown.contains('*'), "{value}");
        }
    }
}
