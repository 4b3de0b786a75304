//! What guesses are counted by: the account that a sign-in names, as it names it.

use aws_lc_rs::digest::{SHA256, digest};

use crate::kazoo::account::AccountId;

/// An account as a sign-in names it, whether or not there is one: all names that find the same account in the same way
/// are the same door. It is kept as a digest, so that a long name takes no more room than a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Door([u8; 32]);

impl Door {
    /// The account of a realm, as the view of realms has it.
    pub fn of_realm(key: &str) -> Self {
        Self::of("realm", key)
    }

    /// The account or accounts of a name, as the view of names has it.
    pub fn of_name(key: &str) -> Self {
        Self::of("name", key)
    }

    /// The account of an id.
    pub fn of_account(id: AccountId) -> Self {
        Self::of("id", id.as_str())
    }

    fn of(kind: &str, key: &str) -> Self {
        let digest = digest(&SHA256, format!("{kind} {key}").as_bytes());
        Self(digest.as_ref().try_into().unwrap_or_else(|_| unreachable!("SHA-256 gives 32 bytes")))
    }
}
