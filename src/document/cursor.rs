//! A walk through JSON that makes no tree of it: what is large is looked at where it stands, and once.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A place in JSON that is well-formed, as that of a document is. At its end there is nothing more.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'t> {
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    /// The beginning of a value.
    pub fn new(text: &'t str) -> Self {
        Self { rest: text.trim_ascii_start() }
    }

    /// The first byte of what comes next, which tells what it is: `{`, `[`, `"`, a digit, …
    pub fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    /// The next token: a text with its quotes, a number, a word, or one sign of punctuation.
    pub fn token(&mut self) -> Option<&'t str> {
        let length = match self.peek()? {
            b'"' => string_length(self.rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => self.rest.bytes().position(|byte| b" \t\r\n,]}:".contains(&byte)).unwrap_or(self.rest.len()),
        };
        let (token, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest.trim_ascii_start();
        Some(token)
    }

    /// The whole of the value that comes next.
    pub fn value(&mut self) -> &'t str {
        let start = *self;
        let mut depth = 0usize;
        while let Some(token) = self.token() {
            match token.as_bytes() {
                [b'{' | b'['] => depth += 1,
                [b'}' | b']'] => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.since(&start)
    }

    /// What stands between an earlier place and this one.
    pub fn since(&self, start: &Self) -> &'t str {
        let length = start.rest.len().saturating_sub(self.rest.len());
        start.rest.get(..length).unwrap_or_default().trim_ascii_end()
    }

    /// The next key of an object that was entered by its first token; None at its end, which is passed. The key's value
    /// comes next, and is to be passed before the next key.
    pub fn key(&mut self) -> Option<Cow<'t, str>> {
        let key = match self.token()? {
            "," => self.token()?,
            "}" => return None,
            key => key,
        };
        self.token();
        Some(text_of(key))
    }

    /// Whether an array that was entered by its first token has one more item, which then comes next; its end is passed.
    pub fn item(&mut self) -> bool {
        match self.peek() {
            Some(b',') => self.token().is_some(),
            Some(b']') | None => {
                self.token();
                false
            }
            Some(_) => true,
        }
    }
}

/// The text that a string's token stands for; the token itself, if it stands for none (half of a surrogate pair).
pub fn text_of(token: &str) -> Cow<'_, str> {
    if token.contains('\\') {
        return serde_json::from_str(token).map_or(Cow::Borrowed(token), Cow::Owned);
    }
    let inner = token.strip_prefix('"').and_then(|token| token.strip_suffix('"'));
    Cow::Borrowed(inner.unwrap_or(token))
}

/// How many values a value holds at the most, itself included.
pub fn values(raw: &RawValue) -> usize {
    let mut cursor = Cursor::new(raw.get());
    std::iter::from_fn(|| cursor.token()).filter(|token| matches!(*token, "," | "{" | "[")).count() + 1
}

/// How many fields an object has, those twice whose key stands twice; none of what is no object.
pub fn fields(raw: &RawValue) -> usize {
    let mut cursor = Cursor::new(raw.get());
    if cursor.token() != Some("{") {
        return 0;
    }
    std::iter::from_fn(|| cursor.key().map(|_| cursor.value())).count()
}

/// How long the string is that well-formed JSON begins with, its quotes included.
pub(super) fn string_length(text: &str) -> usize {
    let mut at = 1;
    while let Some(length) = text.get(at..).and_then(|rest| rest.find('"')) {
        let before = text.as_bytes().get(at..at + length).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        at += length + 1;
        if backslashes % 2 == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_value_ends_where_its_last_bracket_does() {
        for value in [r#"{"a":[1,{"b":"]}\\\"{"}]}"#, r#""x\\""#, r#""\\\"[""#, "-1.5e3", "null", "[]", "[[],[[]]]"] {
            for rest in ["", ",1", " ]", "}"] {
                let text = format!(" {value}{rest}");
                let mut cursor = Cursor::new(&text);
                assert_eq!(cursor.value(), value, "{text}");
                assert_eq!(cursor.peek(), rest.trim().bytes().next());
            }
        }
    }

    #[test]
    fn values_are_counted_and_texts_are_not_looked_into() {
        for (text, most) in [("1", 1), (r#""[,{\",""#, 1), ("[]", 2), (r#"{"a":[1,2,"é,"],"b":{}}"#, 7)] {
            assert_eq!(values(&RawValue::from_string(text.to_owned()).unwrap()), most, "{text}");
        }
    }

    /// A tree, as it is found by walking.
    fn walked(cursor: &mut Cursor<'_>) -> Value {
        match cursor.peek() {
            Some(b'{') => {
                cursor.token();
                let mut fields = serde_json::Map::new();
                while let Some(key) = cursor.key() {
                    fields.insert(key.into_owned(), walked(cursor));
                }
                Value::Object(fields)
            }
            Some(b'[') => {
                cursor.token();
                let mut items = Vec::new();
                while cursor.item() {
                    items.push(walked(cursor));
                }
                Value::Array(items)
            }
            _ => serde_json::from_str(cursor.value()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn a_walk_finds_what_there_is(tree in super::super::json::any_tree(), indented: bool) {
            let text = if indented { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
            let mut cursor = Cursor::new(&text);
            prop_assert_eq!(walked(&mut cursor), tree);
            prop_assert_eq!(cursor.peek(), None);
        }
    }
}
