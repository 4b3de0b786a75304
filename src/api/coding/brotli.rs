//! br (brotli, RFC 7932): one stream, whose meta-blocks are uncompressed ones, those of the data, and uncompressed ones.

use std::io;

use brotli::enc::{BrotliCompress, BrotliEncoderParams};

/// The window of a stream: 256 KiB, as its logarithm. With one of 4 MiB a page takes five times as long.
const WINDOW: i32 = 18;

/// How a stream begins: that window in 4 bits (3), and a meta-block with nothing in it, which ends at a whole byte.
const HEAD: [u8; 2] = [0b0110_0011, 0];

/// How it ends: a last meta-block with nothing in it.
const END: u8 = 0b11;

/// How many bytes an uncompressed meta-block can have whose length is said in 16 bits.
const LARGEST_STORED: usize = 1 << 16;

/// How thoroughly data are compressed: 5 and more take many times as long.
const QUALITY: i32 = 3;

/// Data as meta-blocks that refer to nothing but themselves, end at a whole byte and are not the last.
pub struct Blocks(Vec<u8>);

/// Compresses data.
///
/// Errors: a bug of the library.
pub fn compress(data: &[u8]) -> io::Result<Blocks> {
    let parameters = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW,
        size_hint: data.len(),
        // something stands before it and after it
        catable: true,
        bare_stream: true,
        ..BrotliEncoderParams::default()
    };
    let mut bytes = Vec::with_capacity(data.len() / 4 + 64);
    BrotliCompress(&mut &data[..], &mut bytes, &parameters)?;
    Ok(Blocks(bytes))
}

/// A stream that holds a head, the data and a tail.
pub fn frame(head: &[u8], data: &Blocks, tail: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(head.len() + data.0.len() + tail.len() + 64);
    stream.extend(HEAD);
    store(&mut stream, head);
    stream.extend(&data.0);
    store(&mut stream, tail);
    stream.push(END);
    stream
}

/// Adds bytes as they are.
fn store(stream: &mut Vec<u8>, bytes: &[u8]) {
    for block in bytes.chunks(LARGEST_STORED) {
        // not the last (1 bit), a length of 4 digits (2 bits), the length less one (16 bits), uncompressed (1 bit)
        let said = (block.len() - 1) << 3 | 1 << 19;
        stream.extend(&said.to_le_bytes()[..3]);
        stream.extend(block);
    }
}
