//! JSON for people to read.

use super::super::cursor::string_length;

/// JSON without white space, such as [`encode`](super::encode) gives, with line breaks and indentation; None if that makes it longer than
/// `most` bytes: what is nested deep is mostly indentation. It is to stand `depth` levels deep in other JSON.
pub fn pretty(text: &str, depth: usize, most: usize) -> Option<String> {
    let mut pretty = String::with_capacity(most.min(text.len().saturating_mul(2)));
    let mut depth = depth;
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = if first == b'"' { string_length(rest) } else { 1 };
        let (token, after) = rest.split_at_checked(length)?;
        let opens = matches!(first, b'{' | b'[');
        let closes = matches!(first, b'}' | b']');
        let is_empty = opens && after.starts_with(['}', ']']);
        depth = depth.saturating_sub(usize::from(closes));
        if closes && !pretty.ends_with(['{', '[']) {
            break_line(&mut pretty, depth);
        }
        pretty.push_str(token);
        if first == b':' {
            pretty.push(' ');
        }
        depth += usize::from(opens);
        if first == b',' || opens && !is_empty {
            break_line(&mut pretty, depth);
        }
        if pretty.len() > most {
            return None;
        }
        rest = after;
    }
    Some(pretty)
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{any_tree, encode};
    use super::*;

    #[test]
    fn pretty_json_has_a_bound() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert!(pretty(&deep, 0, 1 << 20).unwrap().len() > 100 * deep.len());
        assert_eq!(pretty(&deep, 0, 10_000), None);
        assert_eq!(pretty(r#"{"a":[],"b":{},"c":[{"é":"x,{y"}]}"#, 0, 100).unwrap().lines().count(), 9);
    }

    proptest! {
        #[test]
        fn pretty_json_is_what_serde_json_makes_of_it(tree in any_tree()) {
            let most = usize::MAX;
            prop_assert_eq!(pretty(&encode(&tree), 0, most).unwrap(), serde_json::to_string_pretty(&tree).unwrap());
            let below = format!("[\n  {}\n]", pretty(&encode(&tree), 1, most).unwrap());
            prop_assert_eq!(below, serde_json::to_string_pretty(&[&tree]).unwrap());
        }
    }
}
