//! JSON as a store would write it.

use super::super::cursor::string_length;
use super::Refused;

/// JSON as a store would write it: without the white space between its tokens, and `0.0` for a number that is too
/// small for a double.
///
/// Errors: [`Refused::NumberTooLarge`].
pub fn compact(text: &str) -> Result<String, Refused> {
    let mut compact = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest.bytes().take_while(|byte| b"+-.eE0123456789".contains(byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        match first {
            b'-' | b'0'..=b'9' => compact.push_str(number_as_kept(token)?),
            _ if token.trim_ascii().is_empty() => {}
            _ => compact.push_str(token),
        }
        rest = after;
    }
    Ok(compact)
}

/// A number as CouchDB would keep it: with all of its digits, as long as a double can be as large.
fn number_as_kept(digits: &str) -> Result<&str, Refused> {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    match digits.parse::<f64>() {
        Ok(number) if number.is_infinite() => Err(Refused::NumberTooLarge),
        Ok(0.0) if mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => Ok("0.0"),
        _ => Ok(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_in_texts_is_kept() {
        let text = "{ \"a b\" : [ 1 , \"x \\\" y\" ] , \n\t\"c\\\\\" : { } }";
        assert_eq!(compact(text).unwrap(), r#"{"a b":[1,"x \" y"],"c\\":{}}"#);
        for text in [r#""é \\\" [ 1e400 ""#, "\"\"", "[]", "-1"] {
            assert_eq!(compact(text).unwrap(), text);
        }
    }

    #[test]
    fn a_number_is_one_that_couchdb_holds() {
        let too_large = "9".repeat(400);
        for kept in ["1.7976931348623157e308", "-1E-300", "0e999", "0.0e-999", "123456789012345678901234567890"] {
            assert_eq!(compact(kept).unwrap(), kept);
        }
        for too_small in ["1e-400", "-0.1E-999", "0.000001e-400"] {
            assert_eq!(compact(&format!("[{too_small}]")).unwrap(), "[0.0]");
        }
        for too_large in ["1e400", "-1.5E999", "1.8e308", &too_large, &format!("{too_large}.0")] {
            assert_eq!(compact(&format!("{{\"x\":[{too_large}]}}")).unwrap_err(), Refused::NumberTooLarge);
        }
    }
}
