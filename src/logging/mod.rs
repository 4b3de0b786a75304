//! Logs: lines for people, or JSON objects for machines, on standard error.

mod queue;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use env_logger::{Builder, Env, Target};
use log::kv::{self, Key, Value, VisitSource};
use log::{LevelFilter, Record};
use prometheus::IntCounter;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use queue::{Queue, Writer};

/// What is logged unless `RUST_LOG` says otherwise. actix_http calls it an error where what somebody sent is not HTTP.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// Whose records are never logged. lapin's hold what it sends to the broker, the password too, and its thread's spans
/// say nothing; what becomes of its connections is logged by who uses them. So it is with certificates that are not believed.
const SILENT: [&str; 4] = ["lapin", "lapin::io_loop", "tracing::span", "rustls_platform_verifier"];

/// How long the end of the process may be held up by lines that nobody takes.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The lines of the process's log that were lost.
static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    let lost = IntCounter::new("crossbar_log_lines_lost_total", "Lines of the log that nobody took in time");
    // it fails where the name is none; the log stands below the metrics
    lost.unwrap_or_else(|error| unreachable!("metrics: {error}"))
});

/// The forms of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The log of the process, which is to be ended before the process.
#[must_use]
pub struct Log {
    /// None: lines are written where they are made.
    writer: Option<(Arc<Queue>, Writer)>,
}

/// Sets up the log of a command: each line is written before the command goes on.
pub fn start() -> Log {
    builder(LogFormat::default()).init();
    Log { writer: None }
}

/// Sets up the log of a service: lines are written aside, and nobody waits for that.
///
/// Errors: there can be no further thread.
pub fn start_aside(format: LogFormat) -> io::Result<Log> {
    let queue = Queue::new(lost());
    let mut builder = builder(format);
    if format == LogFormat::Text {
        builder.format(|out, record| io::Write::write_all(out, text(record, SystemTime::now()).as_bytes()));
    }
    builder.target(Target::Pipe(Box::new(Lines(Arc::clone(&queue)))));
    builder.init();
    let tell = |lost| log::error!(lines_lost = lost; "{lost} lines of the log were lost: nobody took them in time");
    let writer = Arc::clone(&queue).start(io::stderr(), tell)?;
    Ok(Log { writer: Some((queue, writer)) })
}

/// The count of lines that were lost in this process.
pub fn lost() -> IntCounter {
    LOST.clone()
}

impl Log {
    /// Writes all lines that wait and these last words, no longer than [`PATIENCE`].
    pub fn end(self, last_words: &str) {
        match self.writer {
            Some((queue, writer)) => {
                queue.put(last_words.as_bytes());
                // who does not take them is not told that there are more
                let _ = writer.end(PATIENCE);
            }
            // where it can't be said there is nobody to tell of it
            None => drop(io::stderr().write_all(last_words.as_bytes())),
        }
    }
}

fn builder(format: LogFormat) -> Builder {
    let mut builder = Builder::from_env(Env::default().default_filter_or(DEFAULT_FILTER));
    for module in SILENT {
        builder.filter_module(module, LevelFilter::Off);
    }
    if format == LogFormat::Json {
        builder.format(|out, record| {
            serde_json::to_writer(&mut *out, &Json(record, SystemTime::now()))?;
            out.write_all(b"\n")
        });
    }
    builder
}

/// The queue as what is written to, a line at a time.
struct Lines(Arc<Queue>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A record and its time as env_logger writes them where nobody reads in colour. It takes several times as long, and there
/// is a record of each request.
fn text(record: &Record<'_>, time: SystemTime) -> String {
    let mut line = String::with_capacity(512);
    // a text takes whatever is written into it
    let _ = append_text(&mut line, record, time);
    line.push('\n');
    line
}

fn append_text(line: &mut String, record: &Record<'_>, time: SystemTime) -> fmt::Result {
    let time = jiff::Timestamp::try_from(time).unwrap_or_default();
    write!(line, "[{time:.0} {:<5} {}] ", record.level(), record.target())?;
    match record.args().as_str() {
        Some(message) => line.push_str(message),
        // what comes from elsewhere begins no line of its own
        None => line.push_str(&record.args().to_string().replace('\n', "\n    ")),
    }
    // a source whose fields can't be visited has no more to show
    let _ = record.key_values().visit(&mut Pairs(line));
    Ok(())
}

/// The fields of a record, each written behind a line.
struct Pairs<'l>(&'l mut String);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        for part in [" ", key.as_str(), "="] {
            self.0.push_str(part);
        }
        match value.to_borrowed_str() {
            Some(text) => self.0.push_str(text),
            None => write!(self.0, "{value}")?,
        }
        Ok(())
    }
}

/// A record and its time as a JSON object, the record's fields beside its message.
struct Json<'r>(&'r Record<'r>, SystemTime);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record, time) = self;
        let mut line = serializer.serialize_map(None)?;
        let time = jiff::Timestamp::try_from(*time).unwrap_or_default();
        line.serialize_entry("ts", &format_args!("{time:.3}"))?;
        let level = match record.level() {
            log::Level::Error => "error",
            log::Level::Warn => "warn",
            log::Level::Info => "info",
            log::Level::Debug => "debug",
            log::Level::Trace => "trace",
        };
        line.serialize_entry("level", level)?;
        line.serialize_entry("target", record.target())?;
        line.serialize_entry("message", record.args())?;
        // a source whose fields can't be visited has no more to show
        let _ = record.key_values().visit(&mut Fields(&mut line));
        line.end()
    }
}

/// The fields of a record, each put into a line.
struct Fields<'l, L>(&'l mut L);

impl<'kvs, L: SerializeMap> VisitSource<'kvs> for Fields<'_, L> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let put = match (value.to_u64(), value.to_f64()) {
            (Some(number), _) => self.0.serialize_entry(key.as_str(), &number),
            (None, Some(number)) => self.0.serialize_entry(key.as_str(), &number),
            (None, None) => self.0.serialize_entry(key.as_str(), &format_args!("{value}")),
        };
        put.map_err(|_| kv::Error::msg("can't be written"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text() {
        let fields = [("path", Value::from("/v2")), ("status", Value::from(200)), ("ms", Value::from(0.1))];
        let fields: &[(&str, Value)] = &fields;
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_763_888_994_120_900);
        let line = |message: std::fmt::Arguments| {
            let mut record = Record::builder();
            record.level(log::Level::Info).target("here").key_values(&fields);
            text(&record.args(message).build(), time)
        };
        let begins = "[2025-11-23T09:09:54Z INFO  here] ";
        assert_eq!(line(format_args!("answered")), format!("{begins}answered path=/v2 status=200 ms=0.1\n"));
        let forged = "gone\n[2025";
        assert_eq!(line(format_args!("{forged}")), format!("{begins}gone\n    [2025 path=/v2 status=200 ms=0.1\n"));
    }

    #[test]
    fn a_line_of_json() {
        let fields = [("path", Value::from("/\"v2\"")), ("status", Value::from(200)), ("ms", Value::from(0.1))];
        let fields: &[(&str, Value)] = &fields;
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_763_888_994_120_900);
        let line = |message: std::fmt::Arguments| {
            let mut record = Record::builder();
            record.level(log::Level::Info).target("here").key_values(&fields);
            serde_json::to_string(&Json(&record.args(message).build(), time)).unwrap()
        };
        assert_eq!(
            line(format_args!("GET \"{}\"", 1)),
            r#"{"ts":"2025-11-23T09:09:54.120Z","level":"info","target":"here","message":"GET \"1\"","path":"/\"v2\"","status":200,"ms":0.1}"#
        );
    }
}
