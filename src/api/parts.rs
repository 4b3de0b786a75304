//! A body in its parts, and as it is sent.

use std::borrow::Cow;

use super::coding::Coding;

/// How many bytes a body has at the least that is sent shorter than it is.
const LEAST: usize = 1024;

/// A body: one text in three parts. What is secret, and what is not of the data, stands in its head or in its tail.
#[derive(Debug, Default)]
pub struct Parts<'d> {
    /// What stands before the data.
    pub head: String,
    /// The data.
    pub data: Cow<'d, str>,
    /// What stands after them.
    pub tail: String,
}

/// A body as it is sent.
#[derive(Debug)]
pub struct Sent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their coding, if they have one.
    pub coding: Option<Coding>,
    /// Whether that depends on what the client takes.
    pub varies: bool,
}

impl Parts<'_> {
    /// How many bytes the body has.
    pub fn len(&self) -> usize {
        self.head.len() + self.data.len() + self.tail.len()
    }

    /// The body in a coding that the client takes, where that makes it shorter.
    pub fn sent(self, coding: Option<Coding>) -> Sent {
        let length = self.len();
        let varies = length >= LEAST;
        if let Some(coding) = coding.filter(|_| varies)
            && let Some(blocks) = coding.compress(self.data.as_bytes())
        {
            let bytes = blocks.between(self.head.as_bytes(), self.tail.as_bytes());
            if bytes.len() < length {
                return Sent { bytes, coding: Some(coding), varies };
            }
        }
        let mut bytes = self.head.into_bytes();
        bytes.reserve_exact(length - bytes.len());
        bytes.extend_from_slice(self.data.as_bytes());
        bytes.extend_from_slice(self.tail.as_bytes());
        Sent { bytes, coding: None, varies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_becomes_no_shorter_is_sent_as_it_is() {
        for (data, tail, varies, coding) in [
            ("x".repeat(LEAST - 2), ")".to_owned(), false, None),
            ("x".repeat(LEAST - 1), ")".to_owned(), true, Some(Coding::Gzip)),
            ("x".to_owned(), ")".repeat(LEAST), true, None),
        ] {
            let parts = || Parts { head: String::new(), data: data.as_str().into(), tail: tail.clone() };
            let sent = parts().sent(Some(Coding::Gzip));
            assert_eq!((sent.varies, sent.coding), (varies, coding));
            let plain = parts().sent(None);
            assert_eq!((plain.varies, plain.coding), (varies, None));
            assert_eq!(plain.bytes, format!("{data}{tail}").into_bytes());
        }
    }
}
