//! A body in its parts, and as it is sent.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::answer::List;
use super::coding::Coding;

/// How many bytes a body has at the least that is sent shorter than it is.
const LEAST: usize = 1024;

/// From how many bytes on a list is not copied into its body, and how many bytes of it are sent at a time.
const PIECE: usize = 32 * 1024;

/// A body: one text in three parts. What is secret, and what is not of the data, stands in its head or in its tail.
#[derive(Debug)]
pub struct Parts<'d> {
    /// What stands before the data.
    pub head: String,
    /// The data.
    pub data: Between<'d>,
    /// What stands after them.
    pub tail: String,
}

/// The data of a body.
#[derive(Debug)]
pub enum Between<'d> {
    /// A text.
    Text(Cow<'d, str>),
    /// A list, which other answers may share.
    List(Arc<List>),
}

/// A body as it is sent.
#[derive(Debug)]
pub struct Sent {
    /// Its bytes.
    pub body: Body,
    /// Their coding, if they have one.
    pub coding: Option<Coding>,
    /// Whether that depends on what the client takes.
    pub varies: bool,
}

/// The bytes of a body.
#[derive(Debug)]
pub enum Body {
    /// All of them.
    Whole(Vec<u8>),
    /// Those around a list, and the list.
    Around(Pieces),
}

/// Bytes that are sent one piece after the other: however large a list is, a client holds a piece of it and no copy.
#[derive(Debug)]
pub struct Pieces([Bytes; 3]);

impl Between<'_> {
    /// The text of the data.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::List(list) => list.json().get(),
        }
    }
}

impl Parts<'_> {
    /// How many bytes the body has.
    pub fn len(&self) -> usize {
        self.head.len() + self.data.as_str().len() + self.tail.len()
    }

    /// The body in a coding that the client takes, where that makes it shorter.
    pub fn sent(self, coding: Option<Coding>) -> Sent {
        let varies = self.len() >= LEAST;
        if let Some(coding) = coding.filter(|_| varies)
            && let Some(bytes) = self.coded(coding).filter(|bytes| bytes.len() < self.len())
        {
            return Sent { body: Body::Whole(bytes), coding: Some(coding), varies };
        }
        Sent { body: self.plain(), coding: None, varies }
    }

    fn coded(&self, coding: Coding) -> Option<Vec<u8>> {
        let (head, tail) = (self.head.as_bytes(), self.tail.as_bytes());
        match &self.data {
            Between::Text(text) => Some(coding.compress(text.as_bytes())?.between(head, tail)),
            Between::List(list) => Some(list.compressed(coding)?.between(head, tail)),
        }
    }

    fn plain(self) -> Body {
        let length = self.len();
        match self.data {
            Between::List(list) if length > PIECE => {
                Body::Around(Pieces([self.head.into(), Bytes::from_owner(Shared(list)), self.tail.into()]))
            }
            data => {
                let mut bytes = self.head.into_bytes();
                bytes.reserve_exact(length - bytes.len());
                bytes.extend_from_slice(data.as_str().as_bytes());
                bytes.extend_from_slice(self.tail.as_bytes());
                Body::Whole(bytes)
            }
        }
    }
}

/// A list as bytes.
struct Shared(Arc<List>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.json().get().as_bytes()
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.iter().map(|part| part.len() as u64).sum())
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let part = self.0.iter_mut().find(|part| !part.is_empty());
        Poll::Ready(part.map(|part| Ok(part.split_to(part.len().min(PIECE)))))
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
            let text = || Between::Text(data.as_str().into());
            let parts = || Parts { head: String::new(), data: text(), tail: tail.clone() };
            let sent = parts().sent(Some(Coding::Gzip));
            assert_eq!((sent.varies, sent.coding), (varies, coding));
            let plain = parts().sent(None);
            assert_eq!((plain.varies, plain.coding), (varies, None));
            assert!(matches!(plain.body, Body::Whole(bytes) if bytes == format!("{data}{tail}").into_bytes()));
        }
    }

    #[tokio::test]
    async fn a_long_list_is_sent_in_pieces_and_compressed_once() {
        let json = format!("[{}]", vec!["\"some text\""; 3 * PIECE / 12].join(","));
        let list = Arc::new(List::new(serde_json::from_str(&json).unwrap(), 3 * PIECE / 12));
        let parts = || Parts { head: "{".to_owned(), data: Between::List(Arc::clone(&list)), tail: "}".to_owned() };
        let Body::Around(mut pieces) = parts().sent(None).body else { panic!("it is copied") };
        assert_eq!(pieces.size(), BodySize::Sized(json.len() as u64 + 2));
        let mut sent = Vec::new();
        while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut pieces).poll_next(context)).await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE);
            sent.extend_from_slice(&piece);
        }
        assert!(sent == format!("{{{json}}}").into_bytes());
        for coding in Coding::ALL {
            let blocks = std::ptr::from_ref(list.compressed(coding).unwrap());
            assert_eq!(parts().sent(Some(coding)).coding, Some(coding));
            assert_eq!(std::ptr::from_ref(list.compressed(coding).unwrap()), blocks);
        }
    }
}
