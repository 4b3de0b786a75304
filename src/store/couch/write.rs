//! How a document is written once, whatever becomes of the answers.
//!
//! A write names the revision that it replaces or makes, so that sending it again, to another node too, is harmless.
//! Where no answer came, what is there now tells whether it happened.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Method, StatusCode};
use tokio::time::sleep;

use crate::document::{DbName, Document, Revision};

use super::super::{Error, Result};
use super::Couch;
use super::answer::{Answer, Failure, Fate, Refusal, Said};
use super::request::Request;

/// The longest pause between two looks at what became of a write.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The pauses between looks, without end.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(LONGEST_PAUSE)
    .without_max_times()
    .with_jitter();

/// What is there of a document that was to be written.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It, with this revision.
    Written(Revision),
    /// What it replaces.
    Before,
    /// Another, so that it can't be written any more.
    Other,
}

impl Couch {
    /// Writes a document of a database; `path` is the document's in it.
    pub(super) async fn write(&self, database: &DbName, path: &[&str], document: &Document) -> Result<Revision> {
        let path = &[&[database.as_str()], path].concat();
        let request = Request::new(Method::PUT, path).body(document.to_json());
        let (error, fate) = match self.nodes.ask(&request, Answer::written).await {
            Ok(told) => match told.said {
                Said::Done(revision) => return Ok(revision),
                Said::Refused(Refusal { status: StatusCode::NOT_FOUND, .. }) => {
                    return Err(Error::MissingDatabase(database.clone()));
                }
                // what conflicts may be what was written when there was no answer
                Said::Refused(Refusal { status: StatusCode::CONFLICT, .. }) => (Error::Conflict, told.before),
                Said::Refused(refusal) => return Err(refusal.into_error()),
            },
            Err(Failure { error, fate }) => (error, fate),
        };
        match fate {
            Fate::Undone => Err(error),
            Fate::Decided => self.seen(path, document).await.ok().and_then(Seen::written).ok_or(error),
            Fate::Open => self.looked_for(path, document).await.ok_or(error),
        }
    }

    /// Looks for a document that may still be written, again and again, until it is there or can't be any more. Gives up
    /// in the end.
    async fn looked_for(&self, path: &[&str], document: &Document) -> Option<Revision> {
        let mut pauses = PAUSES.build();
        let begun = Instant::now();
        loop {
            match self.seen(path, document).await {
                Ok(Seen::Written(revision)) => return Some(revision),
                Ok(Seen::Other) => return None,
                Ok(Seen::Before) | Err(_) if begun.elapsed() >= self.times.lost_write => return None,
                Ok(Seen::Before) | Err(_) => sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await,
            }
        }
    }

    async fn seen(&self, path: &[&str], document: &Document) -> Result<Seen> {
        let found = self.read(&Request::get(path), Answer::document).await?;
        Ok(Seen::of(found.as_ref(), document))
    }
}

impl Seen {
    /// What is found where a document was to be written.
    fn of(found: Option<&Document>, wanted: &Document) -> Self {
        let (found_revision, replaced) = (found.and_then(Document::revision), wanted.revision());
        if found_revision == replaced {
            return Self::Before;
        }
        let next = replaced.map_or(0, |replaced| replaced.number()) + 1;
        match (found, found_revision) {
            (Some(found), Some(revision)) if revision.number() == next && found.is_same_as(wanted) => {
                Self::Written(revision)
            }
            _ => Self::Other,
        }
    }

    fn written(self) -> Option<Revision> {
        match self {
            Self::Written(revision) => Some(revision),
            Self::Before | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_tells_whether_a_write_happened() {
        let document = |text: &str| Document::parse(text).unwrap();
        let written = |text: &str| Seen::Written(text.parse().unwrap());
        let (new, change) = (document(r#"{"_id":"a","n":1}"#), document(r#"{"_id":"a","_rev":"2-b","n":1}"#));
        for (found, of_new, of_change) in [
            (None, Seen::Before, Seen::Other),
            (Some(r#"{"_id":"a","_rev":"1-a","n":1.0}"#), written("1-a"), Seen::Other),
            (Some(r#"{"_id":"a","_rev":"1-a","n":2}"#), Seen::Other, Seen::Other),
            (Some(r#"{"_id":"a","_rev":"2-b","n":0}"#), Seen::Other, Seen::Before),
            (Some(r#"{"_id":"a","_rev":"3-c","n":1}"#), Seen::Other, written("3-c")),
            (Some(r#"{"_id":"a","_rev":"3-c","n":2}"#), Seen::Other, Seen::Other),
            (Some(r#"{"_id":"a","_rev":"4-d","n":1}"#), Seen::Other, Seen::Other),
        ] {
            let found = found.map(document);
            assert_eq!(Seen::of(found.as_ref(), &new), of_new, "{found:?}");
            assert_eq!(Seen::of(found.as_ref(), &change), of_change, "{found:?}");
        }
    }
}
