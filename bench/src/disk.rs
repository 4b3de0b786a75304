//! What a disk gives, below any store: blocks that are written and made durable, one after the other.

use std::io::{self, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK: [u8; 4096] = [1; 4096];

/// How many blocks the file has: it does not grow while it is measured.
const BLOCKS: u64 = 1024;

/// `fdatasync` a second, p50 and p99 in microseconds, of a file in `folder`, separated by tabs.
pub fn writes(folder: &Path, seconds: f64) -> io::Result<String> {
    let mut file = tempfile::tempfile_in(folder)?;
    for _ in 0..BLOCKS {
        file.write_all(&BLOCK)?;
    }
    file.sync_all()?;
    let length = Duration::from_secs_f64(seconds);
    let mut took = Vec::new();
    let began = Instant::now();
    while began.elapsed() < length {
        let write = Instant::now();
        file.seek(io::SeekFrom::Start(took.len() as u64 % BLOCKS * BLOCK.len() as u64))?;
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        took.push(write.elapsed());
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let percentile = |percent: usize| took[took.len() * percent / 100].as_micros();
    Ok(format!("{rate:.3}\t{}\t{}", percentile(50), percentile(99)))
}
