//! `--amqp` and what belongs to it: the broker by which Kazoo's nodes are told of what is written.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::secret::{self, Secret};
use super::values::{at_least_one, milliseconds};
use crate::files::{self, BadFile};
use crate::notices::{Broker, Settings};
use crate::tls::Authorities;

/// The name of the credential that names a broker.
const AMQP_CREDENTIAL: &str = "amqp";

/// `--amqp` or `--amqp-file`
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kazoo's nodes")]
pub struct NoticeArguments {
    /// Tell Kazoo's nodes of each document written, over this broker: amqp://user:password@host:port/vhost, or amqps://
    /// (default: the one that systemd's credential `amqp` names, if there is one)
    #[arg(long, env = "CROSSBAR_AMQP", value_name = "URL", value_parser = Secret::<Broker>::new(), hide_env_values = true)]
    pub amqp: Option<Broker>,

    /// The file that holds the broker's URL, so that its password stands in no process list and no environment
    #[arg(long, env = "CROSSBAR_AMQP_FILE", value_name = "FILE", conflicts_with = "amqp")]
    pub amqp_file: Option<PathBuf>,

    /// How many change notices may wait for a broker that is away; further ones are dropped
    #[arg(long, env = "CROSSBAR_AMQP_QUEUE", default_value = "10000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub amqp_queue: usize,

    /// For how many milliseconds a write waits at the most until the broker has its notice; not while it is away
    #[arg(long, env = "CROSSBAR_AMQP_WAIT", default_value = "20", value_parser = milliseconds, value_name = "MILLISECONDS")]
    pub amqp_wait: Duration,
}

impl NoticeArguments {
    /// Where notices go; None if they are not wanted. The broker is believed by the authorities that are trusted.
    ///
    /// Errors: a file does not hold a broker's URL.
    pub fn settings(&self, trusted: Authorities) -> Result<Option<Settings>, BadFile> {
        let broker = match (&self.amqp, self.amqp_file.clone().or_else(|| files::credential(AMQP_CREDENTIAL))) {
            (Some(broker), _) => broker.clone(),
            (None, Some(file)) => secret::read(&file, str::parse)?,
            (None, None) => return Ok(None),
        };
        let broker = broker.trusting(trusted);
        Ok(Some(Settings { broker, capacity: self.amqp_queue, wait: self.amqp_wait }))
    }
}
