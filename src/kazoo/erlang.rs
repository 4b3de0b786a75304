//! Values as Erlang writes and reads them, where clients see that Kazoo is written in it: texts of values
//! (`kz_term:to_binary`), numbers in texts (`kz_term:to_integer`), what counts as true and as empty, and the external
//! terms in which envelopes show keys.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::document::cursor::{Cursor, text_of};
use crate::document::json;

/// Why a value has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoText {
    /// It is an object, or a list with what is no part of a text.
    NotAText,
    /// It is longer than it may be.
    TooLong,
}

/// A value as Kazoo's `to_binary` writes it: texts as they are, numbers and booleans by their letters, a list as its
/// items put together. An object has no text.
pub fn as_text(value: &str) -> Option<String> {
    text_within(value, usize::MAX).ok()
}

/// The same of at most so many bytes. No more is held in memory, however large the value is.
///
/// Errors: [`NoText`].
pub fn text_within(value: &str, most: usize) -> Result<String, NoText> {
    let mut written = Ok(String::new());
    let mut cursor = Cursor::new(value);
    match cursor.peek() {
        Some(b'{') => return Err(NoText::NotAText),
        // a list with what is no part of a text has none, however long the others are
        Some(b'[') => {
            while let Some(token) = cursor.token() {
                match token.as_bytes() {
                    [b'[' | b']' | b','] => {}
                    [b'"', ..] => append(&mut written, &text_of(token), most),
                    _ => {
                        let byte = token.parse::<u8>().map_err(|_| NoText::NotAText)?;
                        append(&mut written, char::from(byte).encode_utf8(&mut [0; 4]), most);
                    }
                }
            }
        }
        _ => append(&mut written, &scalar(cursor.value()), most),
    }
    written
}

/// A value as JSON of at most so many bytes, its numbers written as in texts.
///
/// Errors: it is longer.
pub fn json_within(value: &str, most: usize) -> Result<String, NoText> {
    let mut written = Ok(String::new());
    let mut cursor = Cursor::new(value);
    while let (Some(token), Ok(_)) = (cursor.token(), &written) {
        match token.as_bytes() {
            [b'"', ..] if token.contains('\\') => append(&mut written, &json::encode(&*text_of(token)), most),
            [b'"', ..] => append(&mut written, token, most),
            _ => append(&mut written, &scalar(token), most),
        }
    }
    written
}

/// Adds to a text, which is given up where it becomes too long.
fn append(text: &mut Result<String, NoText>, more: &str, most: usize) {
    if let Ok(written) = text {
        match written.len().saturating_add(more.len()) <= most {
            true => written.push_str(more),
            false => *text = Err(NoText::TooLong),
        }
    }
}

/// What a text, a number or a word is written as. Integers keep their digits; other numbers are written as the shortest
/// decimal that reads back the same.
fn scalar(token: &str) -> Cow<'_, str> {
    match token.as_bytes() {
        [b'"', ..] => text_of(token),
        [b'-' | b'0'..=b'9', ..] if token.contains(['.', 'e', 'E']) => match token.parse::<f64>() {
            Ok(number) if number.is_finite() => Cow::Owned(format!("{number:?}")),
            _ => Cow::Borrowed(token),
        },
        _ => Cow::Borrowed(token),
    }
}

/// What Kazoo's `is_empty` takes for empty.
pub fn is_empty(value: &str) -> bool {
    let mut cursor = Cursor::new(value);
    match cursor.token() {
        Some("{" | "[") => matches!(cursor.peek(), Some(b'}' | b']')),
        Some(token) if token.starts_with('"') => matches!(&*text_of(token), "" | "0" | "NULL" | "undefined"),
        Some("null") | None => true,
        Some(token) => token.parse() == Ok(0.0),
    }
}

/// What Kazoo's `is_true` takes for true: `true`, also as a text.
pub fn is_true(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || value.as_str() == Some("true")
}

/// A number in a text, as Kazoo's `to_integer` reads it: an integer, or a decimal (`binary_to_float`: digits on both sides
/// of its point) that is rounded.
pub fn integer(text: &str) -> Option<i64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_decimal = || {
        unsigned.split_once('.').is_some_and(|(whole, rest)| {
            digits(whole) && digits(rest.split_once(['e', 'E']).map_or(rest, |(fraction, _)| fraction))
        })
    };
    text.parse().ok().or_else(|| if digits(unsigned) || is_decimal() { rounded(text) } else { None })
}

/// A number in a document, which may be written as a text.
pub fn integer_of(raw: &RawValue) -> Option<i64> {
    match json::text(raw) {
        Some(text) => integer(&text),
        None => raw.get().parse().ok().or_else(|| rounded(raw.get())),
    }
}

/// A number, rounded.
#[expect(clippy::cast_possible_truncation, reason = "what is out of range is as far as it goes")]
fn rounded(number: &str) -> Option<i64> {
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number.round() as i64)
}

/// A term of Erlang's external format, of which clients see keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A text.
    Binary(String),
    /// The atom `true`.
    True,
}

/// What comes before the bytes of a binary: version 131, tag 109, a 4-byte length.
const BINARY: [u8; 2] = [131, 109];

/// The atom `true`: version 131, tag 100, a 2-byte length, its letters.
const TRUE: &[u8] = b"\x83d\x00\x04true";

/// base64url as `kz_base64url` reads it: with its padding or with some of it missing.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Term {
    /// The base64url of the term.
    pub fn encode(&self) -> String {
        match self {
            Self::Binary(text) => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                URL_SAFE_NO_PAD.encode([&BINARY, &length.to_be_bytes()[..], text.as_bytes()].concat())
            }
            Self::True => URL_SAFE_NO_PAD.encode(TRUE),
        }
    }

    /// The term that a text (base64url or base64) encodes; a text that encodes none is a binary itself.
    pub fn decode(text: &str) -> Self {
        let url_safe = text.replace('+', "-").replace('/', "_");
        let term = LENIENT.decode(url_safe).ok();
        let decoded = term.and_then(|term| match term.as_slice() {
            TRUE => Some(Self::True),
            term => binary_of_term(term).map(Self::Binary),
        });
        decoded.unwrap_or_else(|| Self::Binary(text.to_owned()))
    }
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
    fn terms() {
        assert_eq!(Term::Binary("8".to_owned()).encode(), "g20AAAABOA");
        assert_eq!(Term::True.encode(), "g2QABHRydWU");
        assert_eq!(Term::decode("g2QABHRydWU="), Term::True);
        for text in ["", "8", "2c000000000000000000000000000003", "é", "???>>>"] {
            let term = Term::Binary(text.to_owned());
            let encoded = term.encode();
            for padded in [&encoded, &format!("{encoded}="), &format!("{encoded}==")] {
                if padded.len() % 4 != 1 && (padded == &encoded || padded.len() <= encoded.len().next_multiple_of(4)) {
                    assert_eq!(Term::decode(padded), term, "{padded}");
                    assert_eq!(Term::decode(&padded.replace('-', "+").replace('_', "/")), term, "{padded}");
                }
            }
        }
        for not_a_term in ["8", "zzzz", "g20AAAACOA", "g2wAAAABOA", "%%", "g20AAAABOA===", "true"] {
            assert_eq!(Term::decode(not_a_term), Term::Binary(not_a_term.to_owned()));
        }
    }
}
