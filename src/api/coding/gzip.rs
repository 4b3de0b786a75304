//! gzip (RFC 1952): one member, whose deflate blocks (RFC 1951) are stored ones, those of the data, and stored ones.

use std::io::{self, Write};
use std::mem;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use super::pieces;

/// A member's head: deflate, no name, no time, of no system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// How many bytes a stored block can have.
const LARGEST_STORED: u16 = u16::MAX;

/// How thoroughly data are compressed: 1 makes of a list half as much again, 6 takes twice the time for a twentieth less.
const LEVEL: u32 = 2;

/// Data as deflate blocks that refer to nothing but themselves, end at a whole byte and are not the last.
pub struct Blocks {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Compresses data.
///
/// Errors: a bug of the library.
pub fn compress(data: &[u8]) -> io::Result<Blocks> {
    let mut deflate = DeflateEncoder::new(Vec::with_capacity(data.len() / 4), Compression::new(LEVEL));
    deflate.write_all(data)?;
    // it is not finished: what it would end with is not wanted
    deflate.flush()?;
    let bytes = mem::take(deflate.get_mut());
    let mut crc = Crc::new();
    crc.update(data);
    Ok(Blocks { bytes, crc })
}

/// A member that holds a head, the data and a tail.
pub fn frame(head: &[u8], data: &Blocks, tail: &[u8]) -> Vec<u8> {
    let mut member = Vec::with_capacity(head.len() + data.bytes.len() + tail.len() + 64);
    member.extend(HEAD);
    store(&mut member, head, false);
    member.extend(&data.bytes);
    store(&mut member, tail, true);
    let mut crc = Crc::new();
    crc.update(head);
    crc.combine(&data.crc);
    let mut rest = Crc::new();
    rest.update(tail);
    crc.combine(&rest);
    member.extend(crc.sum().to_le_bytes());
    member.extend(crc.amount().to_le_bytes());
    member
}

/// Adds bytes as they are.
fn store(member: &mut Vec<u8>, bytes: &[u8], are_last: bool) {
    for (block, is_last) in pieces(bytes, LARGEST_STORED.into()) {
        let length = u16::try_from(block.len()).unwrap_or(LARGEST_STORED);
        member.push((are_last && is_last).into());
        member.extend(length.to_le_bytes());
        member.extend((!length).to_le_bytes());
        member.extend(block);
    }
}
