//! The names that CouchDB gives to things, as types that can't hold a wrong one.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// The longest document id that is looked up. CouchDB has no limit of its own; a longer one never names a document
/// of Kazoo's, whose ids are 32 hex digits.
const LONGEST_ID: usize = 256;

/// A document's id that can stand as one segment of a URL and that CouchDB takes for nothing else: not empty, not
/// beginning with `_` (CouchDB's own names), without a slash or a control character, and not a path's `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocId(String);

/// The text names no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a document id")]
pub struct NotADocId;

impl DocId {
    /// An id that stands in this program, where it is known to be one.
    pub fn fixed(id: &'static str) -> Self {
        id.parse().unwrap_or_else(|_| unreachable!("{id} is a document's id"))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DocId {
    type Err = NotADocId;

    fn from_str(text: &str) -> Result<Self, NotADocId> {
        let is_ordinary = |byte: &u8| byte.is_ascii_graphic() && *byte != b'/';
        let taken = text.is_empty()
            || text.len() > LONGEST_ID
            || text.starts_with('_')
            || text == "."
            || text == ".."
            // what sorts after all ids
            || text.starts_with(char::MAX)
            // what nearly all are is looked at bytewise
            || !text.as_bytes().iter().all(is_ordinary) && text.contains(|c: char| c == '/' || c.is_control());
        if taken { Err(NotADocId) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text as one segment of a URL's path: all but RFC 3986's unreserved characters are percent-encoded.
pub fn segment(text: &str) -> impl fmt::Display {
    const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, UNRESERVED)
}

/// A database's name, by CouchDB's rule: a lower-case letter, then lower-case letters, digits and `_$()+-/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DbName(String);

/// The text names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no database name: a lower-case letter, then lower-case letters, digits and _$()+-/")]
pub struct NotADbName(String);

impl DbName {
    /// A name that stands in this program, where it is known to be one.
    pub fn fixed(name: &'static str) -> Self {
        name.parse().unwrap_or_else(|_| unreachable!("{name} is a database's name"))
    }

    /// The name's text, slashes and all.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with `%2F` for its slashes, as Kazoo's documents and notices have it.
    pub fn encoded(&self) -> String {
        self.0.replace('/', "%2F")
    }
}

impl FromStr for DbName {
    type Err = NotADbName;

    fn from_str(text: &str) -> Result<Self, NotADbName> {
        let fits = text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_$()+-/".contains(&c));
        if fits { Ok(Self(text.to_owned())) } else { Err(NotADbName(text.to_owned())) }
    }
}

impl fmt::Display for DbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document's revision: how often it was written, and a digest of what was written.
///
/// Revisions are ordered as CouchDB orders them to find a winner: by the number, then by the digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    number: u64,
    digest: String,
}

/// The text is no revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no revision: a number, a dash and a digest")]
pub struct NotARevision(String);

impl Revision {
    /// How often the document was written.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The revision that follows `self` (or that begins a document) with this digest.
    pub fn following(previous: Option<&Self>, digest: String) -> Self {
        let number = previous.map_or(0, |revision| revision.number).saturating_add(1);
        Self { number, digest }
    }
}

impl FromStr for Revision {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, NotARevision> {
        text.split_once('-')
            .filter(|(_, digest)| !digest.is_empty() && digest.bytes().all(|b| b.is_ascii_alphanumeric()))
            .and_then(|(number, digest)| Some(Self { number: number.parse().ok()?, digest: digest.to_owned() }))
            .filter(|revision| revision.number > 0)
            .ok_or_else(|| NotARevision(text.to_owned()))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_be_taken_for_a_path_or_for_couchdbs_own() {
        for id in ["", "_all_docs", "_design/x", "a/b", "../x", ".", "..", "a\0", "a\nb", &"a".repeat(257)] {
            assert!(id.parse::<DocId>().is_err(), "{id:?}");
        }
        for id in ["0a", "a b", "...", "é", "a%2fb", "A_"] {
            assert!(id.parse::<DocId>().is_ok(), "{id:?}");
        }
    }

    #[test]
    fn revisions_are_ordered_by_number_then_digest() {
        let revision = |text: &str| text.parse::<Revision>().unwrap();
        assert!(revision("10-a") > revision("9-b"));
        assert!(revision("2-b") > revision("2-a"));
        for text in ["", "1", "1-", "0-a", "-a", "x-a", "1-a/b"] {
            assert!(text.parse::<Revision>().is_err(), "{text:?}");
        }
    }
}
