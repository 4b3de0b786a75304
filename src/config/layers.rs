//! What holds of a flag: what the command line says, or else the environment, or else the configuration file, or else the
//! flag's default. A file's settings are put behind the command line's arguments, those left out that the command line or
//! the environment sets, or that would conflict with what they set. So a flag is described once, for all of them.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::CommandLine;
use super::file::{self, ConfigFile, Setting};
use super::secret::{has_password, masked};

/// What the flag is called that names the file.
const CONFIG: &str = "config";

/// What the flag is called that prints what holds.
const PRINT_CONFIG: &str = "print_config";

impl CommandLine {
    /// What the process was asked to do, by its arguments, its environment and the configuration file.
    ///
    /// Errors: what is wrong; or, as clap gives it, the help.
    pub fn read() -> Result<Self, clap::Error> {
        Self::read_from(std::env::args_os())
    }

    /// The same with other arguments, of which the first is the program.
    ///
    /// Errors: see [`CommandLine::read`].
    pub fn read_from(arguments: impl IntoIterator<Item: Into<OsString>>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let mut command = Self::command();
        command.build();
        // what is wrong is told when all is there
        let given = command.clone().ignore_errors(true).try_get_matches_from(&arguments)?;
        let bad = |error| clap::Error::raw(ErrorKind::ValueValidation, format!("{error}\n"));
        let file = given.get_one::<PathBuf>(CONFIG).map(|path| ConfigFile::read(path)).transpose().map_err(bad)?;
        let (asked, matches) = leaf(&command, &given);
        let settings: Vec<&Setting> = file.iter().flat_map(ConfigFile::settings).collect();
        let settings: Vec<&Setting> = settings.into_iter().filter(|set| is_open(set, asked, matches)).collect();
        let matches = Self::command().try_get_matches_from(with(&arguments, &settings))?;
        if let Some(serve) = matches.subcommand_matches("serve")
            && serve.get_flag(PRINT_CONFIG)
        {
            let place = |key: &str| {
                let setting = settings.iter().find(|setting| setting.key == key)?;
                file.as_ref().map(|file| file.place(setting))
            };
            let text = what_holds(asked, serve, place);
            return Ok(Self { command: super::Command::Print(text), ..Self::from_arg_matches(&matches)? });
        }
        Self::from_arg_matches(&matches)
    }
}

/// The command that is asked for at last, of those that have others below, and what it was given.
fn leaf<'c>(command: &'c Command, given: &'c ArgMatches) -> (&'c Command, &'c ArgMatches) {
    let below = given.subcommand().and_then(|(name, given)| Some((command.find_subcommand(name)?, given)));
    below.map_or((command, given), |(command, given)| leaf(command, given))
}

/// Whether a file's setting is one of the command's flags, and nothing that goes before the file speaks against it.
fn is_open(setting: &Setting, command: &Command, given: &ArgMatches) -> bool {
    let is_given = |argument: &Arg| {
        let source = given.value_source(argument.get_id().as_str());
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let conflicts = |argument: &Arg, with: &Arg| {
        command.get_arg_conflicts_with(argument).iter().any(|other| other.get_id() == with.get_id())
    };
    let Some(own) = command.get_arguments().find(|argument| argument.get_long() == Some(&setting.key)) else {
        return false;
    };
    let mut before = command.get_arguments().filter(|argument| is_given(argument));
    !before.any(|other| other.get_id() == own.get_id() || conflicts(own, other) || conflicts(other, own))
}

/// The arguments with a file's settings behind their last flag.
fn with(arguments: &[OsString], settings: &[&Setting]) -> Vec<OsString> {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (flags, rest) = arguments.split_at(end);
    let settings = settings.iter().flat_map(|setting| &setting.flags).map(OsString::from);
    flags.iter().cloned().chain(settings).chain(rest.iter().cloned()).collect()
}

/// What holds for the service, as a configuration file, and where each of it comes from. A password is left out.
fn what_holds(command: &Command, given: &ArgMatches, place: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    for argument in file::keys(command) {
        let (id, key) = (argument.get_id().as_str(), argument.get_long().unwrap_or_default());
        let source = match given.value_source(id) {
            Some(ValueSource::CommandLine) => place(key).unwrap_or_else(|| "flag".to_owned()),
            Some(ValueSource::EnvVariable) => {
                let variable = argument.get_env().map(OsStr::to_string_lossy).unwrap_or_default();
                format!("environment, {variable}")
            }
            _ => "default".to_owned(),
        };
        let values: Vec<String> = match argument.get_action() {
            ArgAction::SetTrue => vec![given.get_flag(id).to_string()],
            _ => given.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect(),
        };
        // a text takes whatever is written into it
        let _ = match &values[..] {
            [] => writeln!(text, "# {key} is not set"),
            values if argument.is_hide_env_values_set() && values.iter().any(|value| has_password(value)) => {
                let values: Vec<String> = values.iter().map(|value| masked(value)).collect();
                let shown = toml(&values);
                writeln!(
                    text,
                    "# {key} = {shown}  # {source}; with a password: a file that {key}-file names may hold it"
                )
            }
            values => writeln!(text, "{key} = {}  # {source}", toml(values)),
        };
    }
    text
}

/// Values as TOML has them.
fn toml(values: &[String]) -> String {
    match values {
        [value] if is_bare(value) => value.clone(),
        [value] => quoted(value),
        values => format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether it is a number or a truth value, written as TOML would write it.
fn is_bare(value: &str) -> bool {
    value.parse::<i64>().is_ok_and(|number| number.to_string() == value) || value.parse::<bool>().is_ok()
}

/// A text in quotes. TOML's basic strings are JSON's, but that they have no DEL in them.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::super::ServeArguments;
    use super::*;

    use clap::Args as _;

    /// What is printed and that the file is read for.
    const NO_KEYS: [&str; 1] = ["print-config"];

    #[test]
    fn the_environment_and_a_file_may_set_every_flag_of_the_service() {
        let serve = ServeArguments::augment_args(Command::new("serve"));
        let keys: Vec<&str> = file::keys(&serve).filter_map(Arg::get_long).collect();
        assert!(keys.contains(&"listen"));
        for flag in serve.get_arguments().filter_map(Arg::get_long).filter(|flag| !NO_KEYS.contains(flag)) {
            assert!(keys.contains(&flag), "--{flag} has no environment variable");
        }
    }
}
