//! zstd (RFC 8878): one frame, whose blocks are raw ones, those of the data, and raw ones.

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::pieces;

/// How a frame begins; then come a byte that says what stands in its head, and its window.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What stands in the head: the window. No length of the content (a head and a tail come to it), no checksum.
const WINDOW_ONLY: u8 = 0;

/// How long a frame's head is then.
const HEAD: usize = MAGIC.len() + 2;

/// A window of 128 KiB, in the form of a frame's head. In a smaller one blocks could not be as large.
const SMALLEST_WINDOW: u8 = 7 << 3;

/// How many bytes a block can have.
const LARGEST_BLOCK: usize = 128 * 1024;

/// What a block's head says of its bytes: they are as they are; one stands for all of them; or else they are compressed.
const RAW: usize = 0;
const REPEATED: usize = 1;

/// How thoroughly data are compressed: of lists 2 and 3 make no less.
const LEVEL: i32 = 1;

/// Data as blocks that refer to nothing but themselves and are not the last.
pub struct Blocks {
    bytes: Vec<u8>,
    window: u8,
}

/// Compresses data.
///
/// Errors: a bug of the library.
pub fn compress(data: &[u8]) -> io::Result<Blocks> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
    let mut bytes = compressor.compress(data)?;
    let unexpected = || io::Error::other("a frame of zstd that has another form");
    if !bytes.starts_with(&MAGIC) || bytes.get(MAGIC.len()) != Some(&WINDOW_ONLY) || bytes.len() < HEAD {
        return Err(unexpected());
    }
    let window = bytes[HEAD - 1].max(SMALLEST_WINDOW);
    bytes.drain(..HEAD);
    let mut at = 0;
    loop {
        let head = bytes.get_mut(at..at + 3).ok_or_else(unexpected)?;
        let said = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
        if said & 1 == 1 {
            head[0] &= !1;
            return Ok(Blocks { bytes, window });
        }
        at += 3 + if (said >> 1) & 3 == REPEATED { 1 } else { said >> 3 };
    }
}

/// A frame that holds a head, the data and a tail.
pub fn frame(head: &[u8], data: &Blocks, tail: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(head.len() + data.bytes.len() + tail.len() + 64);
    frame.extend(MAGIC);
    frame.extend([WINDOW_ONLY, data.window]);
    store(&mut frame, head, false);
    frame.extend(&data.bytes);
    store(&mut frame, tail, true);
    frame
}

/// Adds bytes as they are.
fn store(frame: &mut Vec<u8>, bytes: &[u8], are_last: bool) {
    for (block, is_last) in pieces(bytes, LARGEST_BLOCK) {
        let said = usize::from(are_last && is_last) | RAW << 1 | block.len() << 3;
        frame.extend(&said.to_le_bytes()[..3]);
        frame.extend(block);
    }
}
