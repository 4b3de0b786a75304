//! Accounts: what an account's own document says, and on whom an account may act.

use crate::document::Document;

use super::documents::is_deleted;
use super::erlang::integer_of;

pub use super::account_id::{ACCOUNTS, AccountId, NotAnAccountId, alphanumeric};

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
    /// False for an account that was disabled (`pvt_enabled`); one without it is enabled.
    pub is_enabled: bool,
    /// When the account's trial ends, if it is one, in gregorian seconds (`pvt_trial_expires`).
    pub trial_expires: Option<i64>,
    /// The secret that signs the identity of the account's own tokens (`pvt_signature_secret`).
    pub signature_secret: Option<String>,
}

impl Account {
    /// Reads an account's own document; None if it is deleted.
    pub fn of_document(id: AccountId, document: &Document) -> Option<Self> {
        if is_deleted(document) {
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
