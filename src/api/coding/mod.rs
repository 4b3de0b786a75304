//! Content codings: how bodies are made shorter on their way.
//!
//! A body is a head, data and a tail. Only the data are compressed, alone; head and tail stand beside them as they are, in the
//! same stream. So how long a body becomes says nothing of whether what a client chose is like the secret in its tail (BREACH),
//! and data that are sent again and again can be compressed once.

mod accepted;
mod brotli;
mod gzip;
mod zstd;

pub use accepted::accepted;

/// A coding that bodies can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `zstd`
    Zstd,
    /// `br`
    Brotli,
    /// `gzip`
    Gzip,
}

/// Data that were compressed. They refer to nothing that stands before or after them.
pub enum Blocks {
    /// As zstd's blocks.
    Zstd(zstd::Blocks),
    /// As brotli's meta-blocks.
    Brotli(brotli::Blocks),
    /// As deflate's blocks.
    Gzip(gzip::Blocks),
}

impl Coding {
    /// All, those that cost least first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Compresses data; None where that fails, as it never should.
    pub fn compress(self, data: &[u8]) -> Option<Blocks> {
        let blocks = match self {
            Self::Zstd => zstd::compress(data).map(Blocks::Zstd),
            Self::Brotli => brotli::compress(data).map(Blocks::Brotli),
            Self::Gzip => gzip::compress(data).map(Blocks::Gzip),
        };
        blocks.inspect_err(|error| log::error!("{}: {error}", self.name())).ok()
    }

    /// The ETag of a body in this coding, without quotes: it differs from that of the same body in another.
    pub fn tag(self, etag: &str) -> String {
        format!("{etag}-{}", self.name())
    }

    /// What has this ETag, in whichever coding.
    pub fn without(tag: &str) -> &str {
        let of = |coding: Self| tag.strip_suffix(coding.name())?.strip_suffix('-');
        Self::ALL.into_iter().find_map(of).unwrap_or(tag)
    }
}

impl Blocks {
    /// A body of these data between a head and a tail.
    pub fn between(&self, head: &[u8], tail: &[u8]) -> Vec<u8> {
        match self {
            Self::Zstd(data) => zstd::frame(head, data, tail),
            Self::Brotli(data) => brotli::frame(head, data, tail),
            Self::Gzip(data) => gzip::frame(head, data, tail),
        }
    }
}

/// Bytes in pieces of so many at the most, and whether each is the last; where there are none, one without any.
fn pieces(bytes: &[u8], most: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let number = bytes.len().div_ceil(most).max(1);
    (1..=number).map(move |at| (&bytes[(at - 1) * most..bytes.len().min(at * most)], at == number))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn decoded(coding: Coding, body: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::new();
        match coding {
            Coding::Zstd => decoded = ::zstd::decode_all(body).unwrap(),
            Coding::Brotli => drop(::brotli::Decompressor::new(body, 4096).read_to_end(&mut decoded).unwrap()),
            Coding::Gzip => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut decoded).unwrap()),
        }
        decoded
    }

    fn holds(whole: &[u8], part: &[u8]) -> bool {
        whole.windows(part.len()).any(|window| window == part)
    }

    fn comes_back(head: &[u8], data: &[u8], tail: &[u8]) {
        for coding in Coding::ALL {
            let body = coding.compress(data).unwrap().between(head, tail);
            assert!(decoded(coding, &body) == [head, data, tail].concat(), "{coding:?} {}", data.len());
        }
    }

    #[test]
    fn a_body_of_any_length_comes_back() {
        let lengths = [0, 1, 2, 3, 1_000, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 300_000];
        for length in lengths {
            let like: Vec<u8> = b"some text, ".iter().copied().cycle().take(length).collect();
            let unlike: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect();
            comes_back(b"", &like, b"");
            comes_back(b"{", &unlike, b"}");
            comes_back(&like, &unlike, &like);
            comes_back(&unlike, &like, b"");
        }
    }

    #[test]
    fn how_long_a_body_becomes_says_nothing_of_whether_its_data_are_like_its_tail() {
        let secret = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.c2VjcmV0";
        let tail = format!(r#","auth_token":"{secret}"}}"#);
        for coding in Coding::ALL {
            let length = |guess: &str| {
                let data = format!(r#"[{{"auth_token":"{guess}"}}]"#);
                let blocks = coding.compress(data.as_bytes()).unwrap();
                let body = blocks.between(b"{\"data\":", tail.as_bytes());
                assert!(holds(&body, tail.as_bytes()), "{coding:?}");
                body.len() - blocks.between(b"", b"").len()
            };
            assert_eq!(length(secret), length(&secret.chars().rev().collect::<String>()), "{coding:?}");
        }
    }

    #[test]
    fn etags() {
        for coding in Coding::ALL {
            assert_eq!(Coding::without(&coding.tag("1-ab")), "1-ab");
        }
        for tag in ["1-ab", "gzip", "", "1-ab-GZIP"] {
            assert_eq!(Coding::without(tag), tag);
        }
    }

    proptest! {
        #[test]
        fn any_body_comes_back(head: Vec<u8>, data: Vec<u8>, tail: Vec<u8>) {
            comes_back(&head, &data, &tail);
        }
    }
}
