//! JSON to be compared: of two values that are equal it is the same text.

use serde_json::Value;

use super::encode;

/// One text for all JSON of the same value: an object's keys sorted, a number by its value whatever its digits.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(&encode(key));
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Number(number) => text.push_str(&canonical_number(&number.to_string())),
        value => text.push_str(&encode(value)),
    }
}

/// Integers keep their digits, however many; of others, those that are whole are written as integers.
fn canonical_number(digits: &str) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    match digits.parse::<f64>() {
        Ok(0.0) => "0".to_owned(),
        Ok(number) if !is_integer && number.fract() == 0.0 && number.abs() < EXACT => format!("{number:.0}"),
        Ok(number) if !is_integer && number.is_finite() => format!("{number:?}"),
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_equal_have_one_canonical_text() {
        let canonical = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        let same = [
            (r#"{"b":[1,{"d":1,"c":2}],"a":"\u00e9"}"#, r#"{"a":"é","b":[1.0,{"c":2,"d":1e0}]}"#),
            ("[1e3,-0.0,1.10,5e-1]", "[1000,0,1.1,0.5]"),
        ];
        for (one, other) in same {
            assert_eq!(canonical(one), canonical(other));
        }
        let different = [
            ("[1,2]", "[2,1]"),
            ("1", "\"1\""),
            ("null", "false"),
            ("12345678901234567890", "12345678901234567891"),
            ("1e400", "1e401"),
        ];
        for (one, other) in different {
            assert_ne!(canonical(one), canonical(other));
        }
    }
}
