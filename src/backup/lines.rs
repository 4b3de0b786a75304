//! The lines of a backup, as they are written and read.

use std::fmt;
use std::io::{self, BufRead};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::time::timeout;

use crate::document::{hex, json};
use crate::dump;
use crate::store::{Entry, Server};

use super::Error;

/// The form that this build writes, and the only one that it reads.
const VERSION: u32 = 1;

/// How long who takes a backup may let it wait: the store's file grows meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Backup {
        version: u32,
        /// When it was made, as envelopes show it.
        time: String,
    },
    Database(String),
    Document(Box<RawValue>),
    End {
        databases: u64,
        documents: u64,
        /// Of all lines before, in hex.
        sha256: String,
    },
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    databases: u64,
    documents: u64,
    time: String,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} documents of {} databases, as of {}", self.documents, self.databases, self.time)
    }
}

/// The lines so far.
struct Tally {
    databases: u64,
    documents: u64,
    digest: Context,
}

impl Tally {
    fn new() -> Self {
        Self { databases: 0, documents: 0, digest: Context::new(&SHA256) }
    }

    fn add(&mut self, line: &Line, text: &[u8]) {
        match line {
            Line::Database(_) => self.databases += 1,
            Line::Document(_) => self.documents += 1,
            Line::Backup { .. } | Line::End { .. } => {}
        }
        self.digest.update(text);
    }

    fn sha256(self) -> String {
        hex(self.digest.finish().as_ref())
    }
}

/// Writes a backup of a store as it is now; `time` is now.
///
/// Errors: the store fails, or `output` does not take it; what was written is no backup then.
pub async fn write(store: &dyn Server, time: String, output: impl AsyncWrite + Unpin) -> Result<Summary, Error> {
    let mut entries = store.snapshot();
    let mut output = BufWriter::new(output);
    let mut tally = Tally::new();
    let mut line = Line::Backup { version: VERSION, time: time.clone() };
    loop {
        let text = text(&line);
        tally.add(&line, text.as_bytes());
        put(&mut output, &text).await?;
        line = match entries.try_next().await? {
            Some(Entry::Database(name)) => Line::Database(name.as_str().to_owned()),
            Some(Entry::Document(document)) => Line::Document(document.to_raw()),
            None => break,
        };
    }
    let Tally { databases, documents, .. } = tally;
    put(&mut output, &text(&Line::End { databases, documents, sha256: tally.sha256() })).await?;
    timeout(PATIENCE, output.shutdown()).await.map_err(io::Error::from)??;
    Ok(Summary { databases, documents, time })
}

fn text(line: &Line) -> String {
    // a line break that came with a document stands between its tokens: in texts it is escaped
    json::encode(line).replace(['\n', '\r'], " ") + "\n"
}

async fn put(output: &mut (impl AsyncWrite + Unpin), text: &str) -> io::Result<()> {
    timeout(PATIENCE, output.write_all(text.as_bytes())).await?
}

/// Reads a backup to its end, giving what it holds to `take` as it comes.
///
/// Errors: what is wrong with it, or what `take` says. What was given to `take` before may be wrong too.
pub fn read(mut input: impl BufRead, take: &mut dyn FnMut(Entry) -> Result<(), String>) -> Result<Summary, String> {
    let mut next = |text: &mut Vec<u8>| -> Result<Line, String> {
        text.clear();
        input.read_until(b'\n', text).map_err(|error| error.to_string())?;
        if !text.ends_with(b"\n") {
            return Err("it is cut off".to_owned());
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    };
    let (mut tally, mut text) = (Tally::new(), Vec::new());
    let first = next(&mut text).map_err(|error| format!("no backup: {error}"))?;
    tally.add(&first, &text);
    let time = match first {
        Line::Backup { version: VERSION, time } => time,
        Line::Backup { version, .. } => {
            return Err(format!("a backup of version {version}, and this build knows {VERSION}: use a later build"));
        }
        _ => return Err("no backup".to_owned()),
    };
    loop {
        let number = tally.databases + tally.documents + 2;
        let of_line = |error: String| format!("line {number}: {error}");
        let line = next(&mut text).map_err(of_line)?;
        let entry = match &line {
            Line::Database(name) => name.parse().map(Entry::Database).map_err(|error| of_line(error.to_string()))?,
            Line::Document(_) if tally.databases == 0 => return Err(of_line("a document of no database".to_owned())),
            Line::Document(raw) => Entry::Document(dump::document(raw).map_err(of_line)?),
            Line::Backup { .. } => return Err(of_line("another backup".to_owned())),
            Line::End { databases, documents, sha256 } => {
                let summary = Summary { databases: tally.databases, documents: tally.documents, time };
                let is_whole = (*databases, *documents) == (summary.databases, summary.documents);
                if !is_whole || *sha256 != tally.sha256() {
                    return Err(
                        "it was changed since it was made: its lines are not those that its end counts".to_owned()
                    );
                }
                return Ok(summary);
            }
        };
        tally.add(&line, &text);
        take(entry).map_err(of_line)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Summary, String> {
        read(text.as_bytes(), &mut |_| Ok(()))
    }

    #[test]
    fn a_backup_that_was_cut_off_or_changed_is_none() {
        let mut tally = Tally::new();
        let mut whole = String::new();
        let document = |json: &str| Line::Document(RawValue::from_string(json.to_owned()).unwrap());
        for line in [
            Line::Backup { version: VERSION, time: "now".to_owned() },
            Line::Database("accounts".to_owned()),
            document("{\"_id\":\"a\",\n\"n\":1}"),
            document(r#"{"_id":"b"}"#),
        ] {
            tally.add(&line, text(&line).as_bytes());
            whole += &text(&line);
        }
        whole += &text(&Line::End { databases: 1, documents: 2, sha256: tally.sha256() });
        let summary = read_text(&whole).unwrap();
        assert_eq!(summary.to_string(), "2 documents of 1 databases, as of now");

        for end in 0..whole.len() {
            assert!(read_text(&whole[..end]).is_err(), "cut off after {end}");
        }
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        for left_out in 0..lines.len() {
            let rest: String =
                lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| *line).collect();
            assert!(read_text(&rest).is_err(), "without line {left_out}");
        }
        for (from, to) in
            [("\"n\":1", "\"n\":2"), ("now", "then"), ("\"version\":1", "\"version\":2"), ("accounts", "No Name")]
        {
            assert!(whole.contains(from));
            assert!(read_text(&whole.replace(from, to)).is_err(), "{to}");
        }
    }
}
