//! The nouns of paths, as Kazoo 4.3 knows them.

use crate::kazoo::kind::{self, Kind};

/// A noun that takes part in what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// Accounts.
    Accounts,
    /// A kind of document that is served.
    Documents(&'static Kind),
    /// Where users sign in.
    UserAuth,
    /// Where programs sign in.
    ApiAuth,
    /// What data are checked by.
    Schemas,
    /// Who answers.
    About,
    /// One of [`OTHER_NOUNS`].
    Other,
}

/// What else is a noun to Kazoo 4.3: the crossbar modules that are there, loaded or not.
const OTHER_NOUNS: &[&str] = &[
    "access_lists",
    "acdc_call_stats",
    "acls",
    "agents",
    "alerts",
    "allotments",
    "apps_link",
    "apps_store",
    "att_handlers_errors",
    "auth",
    "basic_auth",
    "blacklists",
    "braintree",
    "bulk",
    "call_inspector",
    "callflows",
    "cccps",
    "cdrs",
    "channels",
    "clicktocall",
    "comments",
    "conferences",
    "configs",
    "connectivity",
    "contact_list",
    "devices",
    "dialplans",
    "directories",
    "faxboxes",
    "faxes",
    "freeswitch",
    "global_provisioner_templates",
    "hotdesks",
    "ip_auth",
    "ips",
    "jobs_listener",
    "ledgers",
    "limits",
    "lists",
    "local_provisioner_templates",
    "local_resources",
    "media",
    "menus",
    "metaflows",
    "migrations",
    "mms",
    "multi_factor",
    "noauthn",
    "noauthz",
    "notifications",
    "onboard",
    "parked_calls",
    "phone_numbers",
    "pivot",
    "port_requests",
    "presence",
    "profile",
    "queues",
    "quickcall",
    "rate_limits",
    "rates",
    "recordings",
    "registrations",
    "resource_selectors",
    "resource_templates",
    "resources",
    "search",
    "security",
    "services",
    "shared_auth",
    "simple_authz",
    "skels",
    "sms",
    "storage",
    "sup",
    "system_configs",
    "tasks",
    "templates",
    "temporal_rules",
    "temporal_rules_sets",
    "token_auth",
    "token_restrictions",
    "transactions",
    "ubiquiti_auth",
    "users",
    "vmboxes",
    "webhooks",
    "websockets",
    "whitelabel",
];

/// Nouns of which all that follows is a parameter.
pub const LAST_NOUNS: [&str; 5] = ["braintree", "configs", "schemas", "sup", "system_configs"];

impl Noun {
    /// The noun of a path's segment; None if it is a parameter.
    pub fn named(segment: &str) -> Option<Self> {
        Some(match segment {
            "accounts" => Self::Accounts,
            "user_auth" => Self::UserAuth,
            "api_auth" => Self::ApiAuth,
            "schemas" => Self::Schemas,
            "about" => Self::About,
            other => match kind::of_noun(other) {
                Some(kind) => Self::Documents(kind),
                None if OTHER_NOUNS.contains(&other) => Self::Other,
                None => return None,
            },
        })
    }
}
