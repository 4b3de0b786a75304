//! What one request may cost, and all of them together: each bound with its flag and its default, in one place. What
//! goes over one is answered by [`Error::OverBudget`](crate::api::Error), and counted by the bound's name.

use std::fmt;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::config::{at_least_one, seconds};
use crate::document::json::DEEPEST;
use crate::kazoo::{group, schema};

/// What `--help` says above them.
const HEADING: &str = "Budgets (what goes over one gets the status named)";

/// The bounds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = HEADING)]
pub struct Budgets {
    /// How many bytes a request's path and query may have; over it 414
    #[arg(long, env = "CROSSBAR_MAX_URL", default_value = "16384", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_url: usize,

    /// How many bytes a body may have, where the request's token is believed; over it 413
    #[arg(long, env = "CROSSBAR_MAX_BODY", default_value = "8000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_body: usize,

    /// How many bytes any other body may have: of sign-ins, and where the token is not believed; over it 413
    #[arg(long, env = "CROSSBAR_MAX_OPEN_BODY", default_value = "262144", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_open_body: usize,

    /// How many levels deep a body may be nested; over it 400
    #[arg(long, env = "CROSSBAR_MAX_NESTING", default_value = "512", value_parser = depth(), value_name = "LEVELS")]
    pub max_nesting: usize,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub written: WrittenBudgets,

    /// How many conditions a filter may have; over it 400
    #[arg(long, env = "CROSSBAR_MAX_CONDITIONS", default_value = "100", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_conditions: usize,

    /// How many bytes an answer may have; over it 400, and the client is to ask for pages
    #[arg(long, env = "CROSSBAR_MAX_ANSWER", default_value = "64000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_answer: usize,

    /// How many bytes an answer may have with indentation; a longer one comes without
    #[arg(long, env = "CROSSBAR_MAX_INDENTED", default_value = "8000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_indented: usize,

    /// How many columns a table (CSV) may have; over it 400
    #[arg(long, env = "CROSSBAR_MAX_COLUMNS", default_value = "10000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_columns: usize,

    /// For how many seconds a connection may take to send a request's head; then it is closed
    #[arg(long, env = "CROSSBAR_HEAD_TIME_OUT", default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    pub head_time_out: Duration,

    /// For how many seconds a request may take to send its body, and of one that is relayed each 64 KiB of it; over it 408
    #[arg(long, env = "CROSSBAR_BODY_TIME_OUT", default_value = "20", value_parser = seconds, value_name = "SECONDS")]
    pub body_time_out: Duration,

    /// For how many seconds a client may take nothing of its answer; then its connection is closed
    #[arg(long, env = "CROSSBAR_SEND_TIME_OUT", default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    pub send_time_out: Duration,

    /// After how many seconds a request is answered, once its body is there, whatever it waits for; over it 503
    #[arg(long, env = "CROSSBAR_DEADLINE", default_value = "20", value_parser = seconds, value_name = "SECONDS")]
    pub deadline: Duration,

    /// How many requests may be under way, once their bodies are there; over it 503
    #[arg(long, env = "CROSSBAR_MAX_REQUESTS", default_value = "512", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_requests: usize,

    /// How many requests may be relayed to the upstream at a time, which take no place of the others; over it 503
    #[arg(long, env = "CROSSBAR_MAX_RELAYED", default_value = "512", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_relayed: usize,

    /// How many may listen to what happens at a time (text/event-stream); over it 503
    #[arg(long, env = "CROSSBAR_MAX_LISTENERS", default_value = "2000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_listeners: usize,

    /// How many bytes of bodies and of answers all requests together may hold; over it 503
    #[arg(long, env = "CROSSBAR_MAX_IN_FLIGHT", default_value = "64000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_in_flight: usize,
}

impl Budgets {
    /// How much of data a schema checks.
    pub fn of_data(&self) -> schema::Limits {
        self.written.of_data()
    }

    /// How large a group may be.
    pub fn of_groups(&self) -> group::Limits {
        self.written.of_groups()
    }
}

/// The bounds of what is written, by a request or otherwise.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = HEADING)]
pub struct WrittenBudgets {
    /// How many values data may hold that are checked by a schema; over it 400
    #[arg(long, env = "CROSSBAR_MAX_VALUES", default_value = "100000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_values: usize,

    /// How many findings about data are named; what else is wrong is counted
    #[arg(long, env = "CROSSBAR_MAX_FINDINGS", default_value = "100", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_findings: usize,

    /// How many endpoints a group may have; over it 400
    #[arg(long, env = "CROSSBAR_MAX_ENDPOINTS", default_value = "10000", value_parser = at_least_one(), value_name = "NUMBER")]
    pub max_endpoints: usize,

    /// How many bytes the rows of lists may have that a view makes of one group: its row, once for each of its users; over
    /// it 400
    #[arg(long, env = "CROSSBAR_MAX_ROWS", default_value = "16000000", value_parser = at_least_one(), value_name = "BYTES")]
    pub max_rows: usize,
}

impl WrittenBudgets {
    /// How much of data a schema checks.
    pub fn of_data(&self) -> schema::Limits {
        schema::Limits { values: self.max_values, findings: self.max_findings }
    }

    /// How large a group may be.
    pub fn of_groups(&self) -> group::Limits {
        group::Limits { endpoints: self.max_endpoints, rows: self.max_rows }
    }
}

/// A bound that a request went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Budget {
    Url,
    Body,
    BodyTime,
    Endpoints,
    Rows,
    Conditions,
    Rings,
    Uses,
    Answer,
    Columns,
    Requests,
    Relayed,
    Listeners,
    InFlight,
    Deadline,
}

impl Budget {
    /// What counts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Body => "body",
            Self::BodyTime => "body_time",
            Self::Endpoints => "endpoints",
            Self::Rows => "rows",
            Self::Conditions => "conditions",
            Self::Rings => "rings",
            Self::Uses => "uses",
            Self::Answer => "answer",
            Self::Columns => "columns",
            Self::Requests => "requests",
            Self::Relayed => "relayed",
            Self::Listeners => "listeners",
            Self::InFlight => "in_flight",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn depth() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=DEEPEST as u64)
}
