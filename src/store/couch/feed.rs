//! What changed in a CouchDB's database: its `_changes`, asked once or followed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::document::{DbName, Document, json};

use super::super::{Changed, Error, HEARTBEAT, Result, Sequence};
use super::Couch;
use super::answer::{Answer, Refusal, Said};
use super::request::{Pace, Request};

/// How many documents are asked for at a time: not more than fit into one answer, each as large as CouchDB takes them.
const AT_ONCE: usize = 7;

/// How long a feed may be silent.
const SILENCE: Duration = HEARTBEAT.saturating_mul(3);

/// What a database tells of itself.
#[derive(Deserialize)]
pub(super) struct About {
    update_seq: Box<RawValue>,
    /// When it was made, in seconds since 1970; 0 or nothing where that is not known.
    instance_start_time: Option<Box<RawValue>>,
}

impl About {
    fn made(&self) -> String {
        self.instance_start_time.as_deref().map(text).unwrap_or_default()
    }
}

/// A place in a database's history: a database that is made anew under the same name begins another.
struct Place<'s> {
    /// When the database was made.
    made: &'s str,
    /// What CouchDB calls the place.
    seq: &'s str,
}

impl<'s> Place<'s> {
    /// None where it is none that this store names. What CouchDB takes besides (`now`) is no place either.
    fn of(sequence: &'s Sequence) -> Option<Self> {
        let (made, seq) = sequence.as_str().split_once(MADE)?;
        seq.starts_with(|c: char| c.is_ascii_digit()).then_some(Self { made, seq })
    }

    fn named(made: &str, seq: &RawValue) -> Sequence {
        Sequence::new(format!("{made}{MADE}{}", text(seq)))
    }
}

/// What stands between the two.
const MADE: char = ':';

/// What `_changes` tells.
#[derive(Deserialize)]
pub(super) struct Changes {
    results: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    seq: Box<RawValue>,
    id: String,
    changes: Vec<Leaf>,
    #[serde(default)]
    deleted: bool,
    doc: Option<Document>,
}

/// A revision that a document has: of several the first is the one that is shown.
#[derive(Deserialize)]
struct Leaf {
    rev: String,
}

/// A line of a feed.
enum Line {
    Change(Change),
    /// The feed ends here.
    End,
}

#[derive(Deserialize)]
struct End {
    #[serde(rename = "last_seq")]
    _last: Box<RawValue>,
}

impl Change {
    fn into_changed(self, made: &str) -> Result<Changed> {
        let revision = self.changes.first().and_then(|leaf| leaf.rev.parse().ok());
        let revision = revision.ok_or_else(|| Error::Nonsense(format!("{} changed without a revision", self.id)))?;
        let document = match self.doc {
            _ if self.deleted => None,
            Some(document) => Some(Arc::new(document)),
            None => return Err(Error::Nonsense(format!("{} changed, and is not shown", self.id))),
        };
        Ok(Changed { sequence: Place::named(made, &self.seq), id: self.id.into(), revision, document })
    }
}

/// What is a text in CouchDB, and a number elsewhere.
fn text(raw: &RawValue) -> String {
    json::text(raw).unwrap_or_else(|| raw.get().to_owned())
}

impl Couch {
    /// [`Store::sequence`](super::super::Store::sequence)
    pub(super) async fn sequence_of(&self, database: &DbName) -> Result<Option<Sequence>> {
        Ok(self.about(database).await?.map(|about| Place::named(&about.made(), &about.update_seq)))
    }

    async fn about(&self, database: &DbName) -> Result<Option<About>> {
        self.read(&Request::get(&[database.as_str()]), Answer::about).await
    }

    /// Whether a database is still the one that was made then.
    async fn is_of(&self, database: &DbName, made: &str) -> Result<bool> {
        Ok(self.about(database).await?.is_some_and(|about| about.made() == made))
    }

    /// [`Store::changed`](super::super::Store::changed)
    pub(super) async fn changed_after(
        &self,
        database: &DbName,
        since: &Sequence,
        most: usize,
    ) -> Result<Option<Vec<Changed>>> {
        let Some(Place { made, seq }) = Place::of(since) else { return Ok(None) };
        let limit = ("limit", most.min(AT_ONCE).to_string());
        let request = changes(database, seq).parameters([limit]).pace(Pace::Slow);
        let changes = match self.ask(&request, Answer::changes).await? {
            Said::Done(changes) => changes.results,
            Said::Refused(Refusal { status: StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, .. }) => return Ok(None),
            refused @ Said::Refused(_) => return refused.done().map(|_| None),
        };
        // of a place that it never had, a database tells all that it holds, but not what is no longer there
        if !self.is_of(database, made).await? {
            return Ok(None);
        }
        changes.into_iter().map(|change| change.into_changed(made)).collect::<Result<_>>().map(Some)
    }

    /// [`Store::follow`](super::super::Store::follow)
    pub(super) fn changes<'a>(&'a self, database: &'a DbName, since: Sequence) -> BoxStream<'a, Result<Vec<Changed>>> {
        let opened = async move { self.opened(database, &since).await };
        let batches = |feed| stream::try_unfold(feed, async |mut feed: Feed| Ok(Some((feed.next().await?, feed))));
        stream::once(opened).map_ok(batches).try_flatten().boxed()
    }

    async fn opened(&self, database: &DbName, since: &Sequence) -> Result<Feed> {
        let missing = || Error::MissingDatabase(database.clone());
        let Place { made, seq } = Place::of(since).ok_or_else(missing)?;
        let heartbeat = ("heartbeat", HEARTBEAT.as_millis().to_string());
        let request = changes(database, seq).parameters([("feed", "continuous".to_owned()), heartbeat]);
        let response = self.nodes.open(&request, SILENCE).await?;
        match response.status() {
            StatusCode::OK if self.is_of(database, made).await? => {
                Ok(Feed::new(response, self.longest_answer, made.to_owned()))
            }
            StatusCode::OK | StatusCode::NOT_FOUND => Err(missing()),
            status => Err(Error::Refused(format!("no changes of {database}: {status}"))),
        }
    }
}

fn changes(database: &DbName, seq: &str) -> Request {
    let parameters = [("since", seq.to_owned()), ("include_docs", "true".to_owned())];
    Request::get(&[database.as_str(), "_changes"]).parameters(parameters)
}

/// A feed that is read as it comes.
struct Feed {
    response: Response,
    /// When the database was made whose it is.
    made: String,
    lines: Lines,
    is_over: bool,
}

impl Feed {
    fn new(response: Response, longest: usize, made: String) -> Self {
        Self { response, made, lines: Lines::new(longest), is_over: false }
    }

    /// The changes that are there, when there are some; none, where it says that there are none.
    async fn next(&mut self) -> Result<Vec<Changed>> {
        let ended = || Error::Unreachable("the feed of changes ended".to_owned());
        loop {
            if self.is_over {
                return Err(ended());
            }
            let mut lines = 0;
            let mut changed = Vec::new();
            while let Some(line) = self.lines.next()? {
                lines += 1;
                match read(&line)? {
                    Some(Line::Change(change)) => changed.push(change.into_changed(&self.made)?),
                    Some(Line::End) => self.is_over = true,
                    None => {}
                }
            }
            if lines > 0 && !(self.is_over && changed.is_empty()) {
                return Ok(changed);
            }
            if !self.is_over {
                let silent = |_| Error::TimedOut("the feed of changes is silent".to_owned());
                let chunk = timeout(SILENCE, self.response.chunk()).await.map_err(silent)?;
                let unreachable = |error: reqwest::Error| Error::Unreachable(error.without_url().to_string());
                self.lines.add(&chunk.map_err(unreachable)?.ok_or_else(ended)?);
            }
        }
    }
}

/// What a line says; None if it only says that nothing happened.
fn read(line: &[u8]) -> Result<Option<Line>> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    // serde's untagged enums can't hold raw JSON
    match serde_json::from_slice(line) {
        Ok(change) => Ok(Some(Line::Change(change))),
        Err(_) if serde_json::from_slice::<End>(line).is_ok() => Ok(Some(Line::End)),
        Err(error) => Err(Error::Nonsense(format!("a line of a feed of changes: {error}"))),
    }
}

/// Bytes that come in pieces, line by line.
struct Lines {
    bytes: BytesMut,
    /// How far they were looked at.
    seen: usize,
    longest: usize,
}

impl Lines {
    fn new(longest: usize) -> Self {
        Self { bytes: BytesMut::new(), seen: 0, longest }
    }

    fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// The next line that is whole, without its end.
    ///
    /// Errors: it is longer than any may be.
    fn next(&mut self) -> Result<Option<BytesMut>> {
        match self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                let line = self.bytes.split_to(self.seen + end);
                self.bytes.advance(1);
                self.seen = 0;
                Ok(Some(line))
            }
            None if self.bytes.len() > self.longest => {
                Err(Error::Nonsense(format!("a line of a feed of changes has more than {} bytes", self.longest)))
            }
            None => {
                self.seen = self.bytes.len();
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_wherever_they_are_cut(text in "[ab\n]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut lines, mut found, mut from) = (Lines::new(100), Vec::new(), 0);
            for to in cuts.into_iter().chain([text.len()]) {
                lines.add(&text.as_bytes()[from..to]);
                from = to;
                while let Some(line) = lines.next().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            let whole: Vec<&str> = text.split('\n').collect();
            prop_assert_eq!(found, &whole[..whole.len() - 1]);
        }
    }

    #[test]
    fn a_line_has_an_end() {
        let mut lines = Lines::new(10);
        lines.add(b"12345678901");
        assert!(matches!(lines.next(), Err(Error::Nonsense(_))));
    }

    #[test]
    fn what_lines_say() {
        let line = r#"{"seq":"5-g1AAA","id":"a","changes":[{"rev":"1-b"}],"doc":{"_id":"a","_rev":"1-b"}}"#;
        let Some(Line::Change(change)) = read(line.as_bytes()).unwrap() else { panic!("no change") };
        let changed = change.into_changed("17").unwrap();
        assert_eq!((changed.sequence.as_str(), &*changed.id), ("17:5-g1AAA", "a"));
        assert_eq!(changed.document.unwrap().to_json(), r#"{"_id":"a","_rev":"1-b"}"#);
        let gone = r#"{"seq":5,"id":"a","changes":[{"rev":"2-b"}],"deleted":true,"doc":{"_id":"a","_deleted":true}}"#;
        let Some(Line::Change(change)) = read(gone.as_bytes()).unwrap() else { panic!("no change") };
        let changed = change.into_changed("").unwrap();
        assert_eq!((changed.sequence.as_str(), changed.document.is_none()), (":5", true));
        assert!(read(b" \r").unwrap().is_none());
        assert!(matches!(read(br#"{"last_seq":"5-x","pending":0}"#).unwrap(), Some(Line::End)));
        assert!(read(b"<html>").is_err());
    }
}
