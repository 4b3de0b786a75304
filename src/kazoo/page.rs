//! Paging: which rows of a view a page shows, and where the next page starts.
//!
//! A page takes rows in key order from its start until it is full, and shows them in descending order. Where a
//! filter leaves rows out, Kazoo refills the page in rounds: a round examines as many rows as the page still lacks.
//! The start of the last round is what the answer calls `start_key`, and the row after it gives `next_start_key`.

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use futures::{Stream, StreamExt, pin_mut};

use super::filter;

/// How many rows a page has unless the client says otherwise.
const DEFAULT_SIZE: usize = 50;

/// A page's size: at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(usize);

impl PageSize {
    /// The size of a page that holds every row.
    pub const ALL: Self = Self(usize::MAX);

    /// The size that a client asks for; 50 if it asks for none, or for what is no size (`0`, `-1`, `abc`).
    pub fn of_text(text: Option<&str>) -> Self {
        // more rows than there can be are all rows
        let asked = text.and_then(|text| match text.parse::<u128>() {
            Ok(size) => Some(usize::try_from(size).unwrap_or(usize::MAX)),
            Err(_) => filter::integer(text).and_then(|size| usize::try_from(size).ok()),
        });
        Self(asked.filter(|size| *size > 0).unwrap_or(DEFAULT_SIZE))
    }

    /// The size as a number.
    pub fn get(self) -> usize {
        self.0
    }
}

/// A page of rows in the order that they are shown in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    /// The rows, in descending order.
    pub rows: Vec<R>,
    /// Where the last round started, if a start was asked for or a filter made a second round needful.
    pub start: Option<String>,
    /// Where the next page starts, if there is one.
    pub next: Option<String>,
}

/// Fills a page from `rows`, which come in key order from `start` on. `key` is where a page that starts at a row
/// starts; `accepts` is the filter.
///
/// Errors: the first that `rows` gives.
pub async fn walk<R, E>(
    rows: impl Stream<Item = Result<R, E>>,
    size: PageSize,
    start: Option<String>,
    key: impl Fn(&R) -> String,
    accepts: impl Fn(&R) -> bool,
) -> Result<Page<R>, E> {
    pin_mut!(rows);
    let mut page = Page { rows: Vec::new(), start, next: None };
    let mut left_in_round = size.get();
    while let Some(row) = rows.next().await {
        let row = row?;
        if left_in_round == 0 {
            let lacking = size.get() - page.rows.len();
            if lacking == 0 {
                page.next = Some(key(&row));
                break;
            }
            page.start = Some(key(&row));
            left_in_round = lacking;
        }
        left_in_round -= 1;
        if accepts(&row) {
            page.rows.push(row);
        }
    }
    page.rows.reverse();
    Ok(page)
}

/// What comes before the bytes of a binary in Erlang's external term format: version 131, tag 109, a 4-byte length.
const BINARY: [u8; 2] = [131, 109];

/// A key as envelopes show it: the base64url of the external term of a binary.
pub fn encode_start_key(key: &str) -> String {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    URL_SAFE_NO_PAD.encode([&BINARY, &length.to_be_bytes()[..], key.as_bytes()].concat())
}

/// The key that a client's `start_key` stands for: what is no such term is the key itself.
pub fn decode_start_key(text: &str) -> String {
    let binary = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok();
    binary.and_then(|term| binary_of_term(&term)).unwrap_or_else(|| text.to_owned())
}

fn binary_of_term(term: &[u8]) -> Option<String> {
    let (length, bytes) = term.strip_prefix(&BINARY)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (bytes.len() == length).then(|| String::from_utf8(bytes.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            (None, 50),
            (Some(""), 50),
            (Some("abc"), 50),
            (Some("0"), 50),
            (Some("-1"), 50),
            (Some("1.5"), 2),
            (Some("7"), 7),
            (Some("99999999999999999999"), usize::MAX),
        ] {
            assert_eq!(PageSize::of_text(text), PageSize(size), "{text:?}");
        }
    }

    #[test]
    fn start_keys() {
        assert_eq!(encode_start_key("8"), "g20AAAABOA");
        for key in ["", "8", "2c000000000000000000000000000003", "é"] {
            assert_eq!(decode_start_key(&encode_start_key(key)), key);
        }
        for not_a_term in ["8", "zzzz", "g20AAAACOA", "g2wAAAABOA", "%%"] {
            assert_eq!(decode_start_key(not_a_term), not_a_term);
        }
    }
}
