//! What the service takes from the world around it: the time, and ids that nobody had before. Tests hold both still.

use std::time::SystemTime;

use uuid::Uuid;

use crate::document::DocId;
use crate::kazoo::time;

/// The sources of time and of ids.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// The time now.
    pub now: fn() -> SystemTime,
    /// A number that nobody can guess.
    pub random: fn() -> u128,
}

impl World {
    /// The machine's own clock and randomness.
    pub fn real() -> Self {
        Self { now: SystemTime::now, random: || Uuid::new_v4().as_u128() }
    }

    /// Seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        time::unix_seconds((self.now)())
    }

    /// Seconds since the year 0.
    pub fn gregorian_seconds(&self) -> i64 {
        time::gregorian_seconds((self.now)())
    }

    /// The time as envelopes show it.
    pub fn iso8601(&self) -> String {
        time::iso8601((self.now)())
    }

    /// A new request's id: 32 hex digits.
    pub fn request_id(&self) -> String {
        self.hex_digits()
    }

    /// A new document's id: 32 hex digits.
    pub fn document_id(&self) -> DocId {
        self.hex_digits().parse().unwrap_or_else(|_| unreachable!("hex digits are a document's id"))
    }

    /// A new message's id: 16 hex digits.
    pub fn message_id(&self) -> String {
        self.hex_digits().split_off(16)
    }

    /// A new secret: 32 hex digits.
    pub fn secret(&self) -> String {
        self.hex_digits()
    }

    fn hex_digits(&self) -> String {
        format!("{:032x}", (self.random)())
    }
}
