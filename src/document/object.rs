//! JSON objects that are written key by key: what stands in every answer is written for each.

use serde_json::value::RawValue;

use super::json;

/// An object that is being written. Its keys are such as need no escape.
#[derive(Debug, Default)]
pub struct Object(String);

impl Object {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Adds a text.
    pub fn text(mut self, key: &'static str, text: &str) -> Self {
        self.key(key);
        if needs_no_escape(text) {
            self.0.push('"');
            self.0.push_str(text);
            self.0.push('"');
        } else {
            self.0.push_str(&json::encode(text));
        }
        self
    }

    /// Adds a text that is there.
    pub fn text_if(self, key: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    /// Adds a number that is there.
    pub fn number_if(mut self, key: &'static str, number: Option<usize>) -> Self {
        if let Some(number) = number {
            self.key(key);
            self.0.push_str(&number.to_string());
        }
        self
    }

    /// Adds a value that is JSON already.
    pub fn raw(mut self, key: &'static str, value: &RawValue) -> Self {
        self.key(key);
        self.0.push_str(value.get());
        self
    }

    /// The object.
    pub fn end(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }

    fn key(&mut self, key: &'static str) {
        self.0.push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(key);
        self.0.push_str("\":");
    }
}

/// Whether a text stands in JSON as it is. All of it is looked at, many bytes at a time: there is nearly always nothing.
#[allow(clippy::needless_bitwise_bool, reason = "without branches one instruction looks at many bytes")]
fn needs_no_escape(text: &str) -> bool {
    let is_escaped = |byte| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    !text.bytes().fold(false, |found, byte| found | is_escaped(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_without_keys() {
        assert_eq!(Object::default().text_if("a", None).number_if("b", None).end(), "{}");
    }

    proptest! {
        #[test]
        fn it_is_what_serde_json_writes(a in any::<String>(), b in any::<usize>(), c in ".*[\"\\\\\u{0}-\u{1f}].*") {
            let object = Object::with_capacity(10).text("a", &a).number_if("b", Some(b)).text("c", &c).end();
            prop_assert_eq!(object, format!(r#"{{"a":{},"b":{b},"c":{}}}"#, json!(a), json!(c)));
        }
    }
}
