//! The configuration file: TOML, whose keys are the flags of `serve`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args as _, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ServeArguments;
use super::secret::has_password;
use crate::files::{self, BadFile};
use crate::near::nearest;

/// The command `serve` by itself. What its environment sets does not count.
pub(super) fn serve() -> Command {
    let serve = ServeArguments::augment_args(Command::new("serve").no_binary_name(true));
    serve.mut_args(|argument| argument.env(Resettable::Reset))
}

/// The flags that a file may set: those that the environment may set, but the one that names the file.
pub(super) fn keys(serve: &Command) -> impl Iterator<Item = &Arg> {
    let flags = serve.get_arguments().filter(|argument| argument.get_long().is_some() && !argument.is_global_set());
    flags.filter(|argument| argument.get_env().is_some())
}

/// A file that was read, each of whose settings is right by itself.
pub(super) struct ConfigFile {
    path: PathBuf,
    settings: Vec<Setting>,
}

/// What a file sets.
pub(super) struct Setting {
    /// The flag's name, without dashes.
    pub(super) key: String,
    pub(super) line: usize,
    /// The flag as the command line has it, once for each value; none where it is off.
    pub(super) flags: Vec<String>,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// Errors: it can't be read, is no TOML, or sets what can't be set so: with its line, its key and what to do. A
    /// password where others may read the file.
    pub(super) fn read(path: &Path) -> Result<Self, BadFile> {
        let (bytes, others_read) = files::read_telling(path)?;
        let text = str::from_utf8(&bytes).map_err(|_| BadFile::new(path, "it is not UTF-8"))?;
        let at = |span: Range<usize>, why: &str| BadFile::new(&line_of(path, line(text, span.start)), why);
        // the error's own text shows the line, in which a password may be
        let table = DeTable::parse(text).map_err(|error| at(error.span().unwrap_or_default(), error.message()))?;
        let known = ServeArguments::augment_args(Command::new("serve"));
        let mut settings = Vec::new();
        let mut pairs: Vec<_> = table.get_ref().iter().collect();
        pairs.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in pairs {
            let Some(argument) = keys(&known).find(|argument| argument.get_long() == Some(key.get_ref())) else {
                return Err(at(key.span(), &unknown(key.get_ref(), value.get_ref(), &known)));
            };
            let wrong = |why: String| at(key.span(), &format!("{}: {why}", key.get_ref()));
            let values = values(argument, value).map_err(wrong)?;
            if others_read && argument.is_hide_env_values_set() && values.iter().any(|value| has_password(value)) {
                return Err(wrong(format!(
                    "it holds a password, and everybody on this machine can read this file: take that from others \
                     (chmod o-r), or put it into a file of its own, which {}-file names",
                    key.get_ref()
                )));
            }
            let flags = flags(argument, key.get_ref(), &values);
            // that it needs another flag is seen to where all are there
            if let Err(error) = serve().try_get_matches_from(&flags)
                && error.kind() != ErrorKind::MissingRequiredArgument
            {
                return Err(wrong(what_is_wrong(&error)));
            }
            settings.push(Setting { key: key.get_ref().to_string(), line: line(text, key.span().start), flags });
        }
        let all = settings.iter().flat_map(|setting| &setting.flags);
        match serve().try_get_matches_from(all) {
            Err(error) if error.kind() == ErrorKind::ArgumentConflict => Err(BadFile::new(path, what_is_wrong(&error))),
            _ => Ok(Self { path: path.to_owned(), settings }),
        }
    }

    /// What it sets, in its order.
    pub(super) fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Where a setting stands: the file and the line.
    pub(super) fn place(&self, setting: &Setting) -> String {
        line_of(&self.path, setting.line).display().to_string()
    }
}

/// A line of a file, as compilers name it.
fn line_of(path: &Path, line: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(":{line}"));
    name.into()
}

/// The number of a line, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn unknown(key: &str, value: &DeValue<'_>, serve: &Command) -> String {
    match nearest(key, keys(serve).filter_map(Arg::get_long)) {
        Some(near) => format!("unknown key {key}: is {near} meant?"),
        None if value.is_table() => {
            format!("unknown key {key}: there are no tables, a key is the name of a flag of `serve`, without --")
        }
        None => format!("unknown key {key}: a key is the name of a flag of `serve`, without --"),
    }
}

/// The values of a key, as the flag takes them.
fn values(argument: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let value = value.get_ref();
    match argument.get_action() {
        ArgAction::SetTrue => match value.as_bool() {
            Some(is_set) => Ok(vec![is_set.to_string()]),
            None => Err(format!("it is true or false, and no {}", value.type_str())),
        },
        ArgAction::Append => match value.as_array() {
            Some(values) => values.iter().map(|value| one(value.get_ref())).collect(),
            None => Ok(vec![one(value)?]),
        },
        _ => Ok(vec![one(value)?]),
    }
}

fn one(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => Err(format!("it is a text or a number, and no {}", value.type_str())),
    }
}

/// A key as the command line has it.
fn flags(argument: &Arg, key: &str, values: &[String]) -> Vec<String> {
    match argument.get_action() {
        ArgAction::SetTrue => values.iter().filter(|value| *value == "true").map(|_| format!("--{key}")).collect(),
        _ => values.iter().map(|value| format!("--{key}={value}")).collect(),
    }
}

/// An error's first paragraph, which says what is wrong.
fn what_is_wrong(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).split_whitespace().collect::<Vec<_>>().join(" ")
}
