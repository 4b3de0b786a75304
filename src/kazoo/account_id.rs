//! Accounts' ids, the databases that they name, and the names by which accounts are looked up.

use std::fmt;
use std::str::FromStr;

use crate::document::{DbName, DocId};

/// The database that holds a copy of every account's own document.
pub const ACCOUNTS: &str = "accounts";

/// An account's id: 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 32]);

/// The text is no account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an account id: 32 hex digits")]
pub struct NotAnAccountId;

impl AccountId {
    /// How many bytes an id has.
    pub const LENGTH: usize = 32;

    /// The id's 32 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The account's database: `account/aa/bb/cccc…`, of 2, 2 and 28 digits.
    pub fn database(&self) -> DbName {
        let id = self.as_str();
        let name = ["account", &id[..2], &id[2..4], &id[4..]].join("/");
        name.parse().unwrap_or_else(|_| unreachable!("hex digits and slashes are a database's name"))
    }

    /// The account whose database has this name.
    pub fn of_database(name: &DbName) -> Option<Self> {
        let id = name.as_str().strip_prefix("account/")?.replace('/', "").parse::<Self>().ok()?;
        (id.database() == *name).then_some(id)
    }

    /// The account's database as documents name it, with `%2F` for the slashes (`pvt_account_db`).
    pub fn encoded_database(&self) -> String {
        self.database().encoded()
    }

    /// Whether `text` names the account's database, as its documents do or with slashes.
    pub fn is_database(&self, text: &str) -> bool {
        text == self.encoded_database() || text == self.database().as_str()
    }

    /// The id of the account's own document, in its own database and in [`ACCOUNTS`].
    pub fn document_id(&self) -> DocId {
        self.as_str().parse().unwrap_or_else(|_| unreachable!("hex digits are a document's id"))
    }
}

impl FromStr for AccountId {
    type Err = NotAnAccountId;

    fn from_str(text: &str) -> Result<Self, NotAnAccountId> {
        let digits: [u8; 32] = text.as_bytes().try_into().map_err(|_| NotAnAccountId)?;
        let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if digits.iter().all(hex) { Ok(Self(digits)) } else { Err(NotAnAccountId) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name as Kazoo looks it up: lower case, and only `a`–`z` and digits (`pvt_alphanum_name`).
pub fn alphanumeric(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_a_database_and_back() {
        let id: AccountId = "3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap();
        assert_eq!(id.database().as_str(), "account/3e/30/d852896b2a7fd6dd579074f12a3b");
        assert_eq!(id.encoded_database(), "account%2F3e%2F30%2Fd852896b2a7fd6dd579074f12a3b");
        assert_eq!(AccountId::of_database(&id.database()), Some(id));
        for name in ["accounts", "account/3e30d852896b2a7fd6dd579074f12a3b", "account/3e/30/d8"] {
            assert_eq!(AccountId::of_database(&name.parse().unwrap()), None, "{name}");
        }
    }

    #[test]
    fn only_32_lower_case_hex_digits_are_an_id() {
        for text in ["", "xyz", "ABCDEF", &"A".repeat(32), &"g".repeat(32), &"a".repeat(31), &"a".repeat(33)] {
            assert!(text.parse::<AccountId>().is_err(), "{text:?}");
        }
    }
}
