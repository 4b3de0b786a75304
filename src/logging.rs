//! Logs: lines for people, or JSON objects for machines, on standard error.

use std::io::Write;
use std::time::SystemTime;

use clap::ValueEnum;
use env_logger::{Builder, Env};
use log::LevelFilter;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::Map;

/// What is logged unless `RUST_LOG` says otherwise. actix_http calls it an error where what somebody sent is not HTTP.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// Whose records are never logged. lapin's hold what it sends to the broker, the password too, and its thread's spans
/// say nothing; what becomes of its connections is logged by who uses them.
const SILENT: [&str; 3] = ["lapin", "lapin::io_loop", "tracing::span"];

/// The forms of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets up the log of the process.
pub fn start(format: LogFormat) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(DEFAULT_FILTER));
    for module in SILENT {
        builder.filter_module(module, LevelFilter::Off);
    }
    if format == LogFormat::Json {
        builder.format(|out, record| {
            let mut line = Map::new();
            line.insert("ts".to_owned(), rfc3339_millis(SystemTime::now()).into());
            line.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
            line.insert("target".to_owned(), record.target().into());
            line.insert("message".to_owned(), record.args().to_string().into());
            // a source whose fields can't be visited has none to show
            let _ = record.key_values().visit(&mut Fields(&mut line));
            writeln!(out, "{}", serde_json::Value::Object(line))
        });
    }
    builder.init();
}

/// `2026-11-23T09:09:54.123Z`
fn rfc3339_millis(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or_default().strftime("%FT%T%.3fZ").to_string()
}

/// The fields of a record, put beside its message.
struct Fields<'l>(&'l mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let value = match (value.to_u64(), value.to_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => value.to_string().into(),
        };
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}
