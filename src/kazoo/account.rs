//! Accounts: their ids, the databases that the ids name, and what an account's own document says.

use std::fmt;
use std::str::FromStr;

use crate::document::{DbName, DocId, Document};

use super::erlang::integer_of;

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
        let (id, prefix) = (self.as_str(), "account");
        let name = format!("{prefix}/{}/{}/{}", &id[..2], &id[2..4], &id[4..]);
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

/// What an account's own document says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// `name`, as its people know it.
    pub name: Option<String>,
    /// `language`, if the account has chosen one.
    pub language: Option<String>,
    /// The account's ancestors, outermost first (`pvt_tree`).
    pub ancestors: Vec<AccountId>,
    /// Whether its tokens may act on every account (`pvt_superduper_admin`).
    pub is_superduper_admin: bool,
    /// Whether it sells to others (`pvt_reseller`).
    pub is_reseller: bool,
    /// False for an account that was disabled (`pvt_enabled`); who was not told otherwise is enabled.
    pub is_enabled: bool,
    /// When the account's trial ends, if it is one, in gregorian seconds (`pvt_trial_expires`).
    pub trial_expires: Option<i64>,
    /// The secret that signs the identity of the account's own tokens (`pvt_signature_secret`).
    pub signature_secret: Option<String>,
}

impl Account {
    /// Reads an account's own document; None if it is deleted.
    pub fn of_document(id: AccountId, document: &Document) -> Option<Self> {
        if document.is_true("pvt_deleted") {
            return None;
        }
        let tree = document.get("pvt_tree").and_then(|raw| serde_json::from_str::<Vec<String>>(raw.get()).ok());
        Some(Self {
            id,
            name: document.text("name"),
            language: document.text("language"),
            ancestors: tree.unwrap_or_default().iter().filter_map(|id| id.parse().ok()).collect(),
            is_superduper_admin: document.is_true("pvt_superduper_admin"),
            is_reseller: document.is_true("pvt_reseller"),
            is_enabled: document.get("pvt_enabled").is_none_or(|raw| raw.get() != "false"),
            trial_expires: document.get("pvt_trial_expires").and_then(integer_of),
            signature_secret: document.text("pvt_signature_secret"),
        })
    }

    /// Whether the account's trial has ended at `now` (gregorian seconds): then its people are refused.
    pub fn is_expired(&self, now: i64) -> bool {
        self.trial_expires.is_some_and(|expires| expires <= now)
    }

    /// Whether the account sells to others: as a reseller, or as the system's own.
    pub fn sells(&self) -> bool {
        self.is_reseller || self.is_superduper_admin
    }

    /// Whether a token of `self` may act on `target`: on itself, on its descendants, and on all accounts if it is
    /// the system's own.
    pub fn may_act_on(&self, target: &Account) -> bool {
        self.is_superduper_admin || self.id == target.id || target.ancestors.contains(&self.id)
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
