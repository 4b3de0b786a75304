//! Owners' rights, as the fork of Kazoo 4 that lives on has them (`crossbar_owner_authz`): where they are switched on, who is
//! no admin sees the groups that they are a member of, and no others. Kazoo 4.3 itself has none.

use crate::document::{Document, json};

use super::erlang::is_true;

/// The document of `system_config` that says so for the system.
pub const SYSTEM_CONFIG: &str = "crossbar.owner_authz";

/// The document of an account that says so for the account.
pub const ACCOUNT_CONFIG: &str = "configs_crossbar.owner_authz";

/// `priv_level` of those who are not restricted.
const ADMIN: &str = "admin";

/// What a restricted user gets for the list of all groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Those of the user.
    Filter,
    /// A refusal.
    Reject,
}

/// What one document says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `should_restrict_access_to_owner`
    is_on: Option<bool>,
    /// `general_endpoint_mode`
    mode: Option<Mode>,
}

impl Config {
    /// Reads an account's document, or a section of the system's.
    pub fn of_document(document: &Document) -> Self {
        let said = |key: &str| document.get(key).filter(|raw| raw.get() != "null");
        let is_reject = |raw| json::text(raw).is_some_and(|text| text == "reject");
        Self {
            is_on: said("should_restrict_access_to_owner").map(|raw| json::tree(raw).is_ok_and(|tree| is_true(&tree))),
            mode: said("general_endpoint_mode").map(|raw| if is_reject(raw) { Mode::Reject } else { Mode::Filter }),
        }
    }
}

/// How users who are no admins are restricted, by what their account's document says (or where it has none its
/// reseller's), and the system's where that says nothing (`kapps_account_config:get_global/4`). None: not at all.
pub fn mode(own: Option<&Config>, system: &Config) -> Option<Mode> {
    let own = own.cloned().unwrap_or_default();
    let is_on = own.is_on.or(system.is_on).unwrap_or(false);
    is_on.then(|| own.mode.or(system.mode).unwrap_or(Mode::Filter))
}

/// Whether a user of this `priv_level` is not restricted.
pub fn is_admin(priv_level: Option<&str>) -> bool {
    priv_level == Some(ADMIN)
}

/// Whether a user is among a group's endpoints, as whatever.
pub fn is_member(group: &Document, user: &str) -> bool {
    let endpoint = group.get("endpoints").and_then(Document::from_raw).and_then(|mut endpoints| endpoints.remove(user));
    endpoint.is_some_and(|endpoint| endpoint.get() != "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        Config::of_document(&Document::parse(json).unwrap())
    }

    #[test]
    fn each_key_is_the_accounts_own_or_else_the_systems() {
        let (on, off) = (config(r#"{"should_restrict_access_to_owner":"true"}"#), Config::default());
        let reject = config(r#"{"should_restrict_access_to_owner":true,"general_endpoint_mode":"reject"}"#);
        assert_eq!(mode(None, &off), None);
        assert_eq!(mode(None, &on), Some(Mode::Filter));
        assert_eq!(mode(Some(&off), &reject), Some(Mode::Reject));
        assert_eq!(mode(Some(&on), &reject), Some(Mode::Reject));
        assert_eq!(mode(Some(&config(r#"{"general_endpoint_mode":"x"}"#)), &reject), Some(Mode::Filter));
        assert_eq!(mode(Some(&config(r#"{"should_restrict_access_to_owner":false}"#)), &reject), None);
        assert_eq!(mode(Some(&config(r#"{"should_restrict_access_to_owner":null}"#)), &off), None);
    }

    #[test]
    fn a_member_is_whoever_stands_among_the_endpoints() {
        let group = Document::parse(r#"{"endpoints":{"u":{},"n":null}}"#).unwrap();
        assert!(is_member(&group, "u") && !is_member(&group, "n") && !is_member(&group, "x"));
        assert!(!is_member(&Document::new(), "u"));
    }
}
