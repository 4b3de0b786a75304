//! What JSON may be kept: it is looked at before anything recurses.

use serde_json::value::RawValue;

/// How deep arrays and objects may be nested. Clients' documents have a handful of levels and the recorded ones up to
/// 200; what is deeper is refused, since reading, comparing and dropping a tree recurse.
pub const DEEPEST: usize = 512;

/// Why a text that may be JSON is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not JSON, or not in UTF-8.
    #[error("{0}")]
    Syntax(String),
    /// It is nested more levels deep than these.
    #[error("JSON must not be nested more than {0} levels")]
    TooDeep(usize),
    /// A string holds half of a surrogate pair, which no Unicode text can.
    #[error("a string holds half of a surrogate pair")]
    LoneSurrogate,
    /// A number is larger than any double.
    #[error("a number is too large")]
    NumberTooLarge,
}

/// Checks that `bytes` are one JSON value that may be kept, nested so many levels deep at the most, and gives it.
///
/// Errors: [`Refused`], which says why.
pub fn check(bytes: &[u8], deepest: usize) -> Result<&RawValue, Refused> {
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::Syntax(error.to_string()))?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| Refused::Syntax(error.to_string()))?;
    scan(raw.get(), deepest)?;
    Ok(raw)
}

/// One pass over well-formed JSON, for what its grammar doesn't rule out.
pub(super) fn scan(text: &str, deepest: usize) -> Result<(), Refused> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0usize;
    let mut in_string = false;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                if let Some(unit) = escaped_unit(&bytes[at..]) {
                    let paired = (0xd800..0xdc00).contains(&unit)
                        && escaped_unit(&bytes[at + 6..]).is_some_and(|low| (0xdc00..0xe000).contains(&low));
                    if paired {
                        at += 6;
                    } else if (0xd800..0xe000).contains(&unit) {
                        return Err(Refused::LoneSurrogate);
                    }
                    at += 4;
                }
                at += 1;
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > deepest {
                    return Err(Refused::TooDeep(deepest));
                }
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The UTF-16 unit of a `\uXXXX` that `bytes` begin with.
fn escaped_unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_surrogates_are_checked_wherever_they_stand() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(check(nested(DEEPEST).as_bytes(), DEEPEST).is_ok());
        assert_eq!(check(nested(DEEPEST + 1).as_bytes(), DEEPEST).unwrap_err(), Refused::TooDeep(DEEPEST));
        assert!(check(nested(100_000).as_bytes(), DEEPEST).is_err());

        for text in [r#"{"a":["\ud800"]}"#, r#"{"\udc00":1}"#, r#""\ud800\ud800""#, r#""\ud800x""#] {
            assert_eq!(check(text.as_bytes(), DEEPEST).unwrap_err(), Refused::LoneSurrogate, "{text}");
        }
        for text in [r#""\ud83d\ude00""#, r#""\\ud800""#, r#""[[[\"{{{""#, r#""\u00e9""#] {
            assert!(check(text.as_bytes(), DEEPEST).is_ok(), "{text}");
        }
    }
}
