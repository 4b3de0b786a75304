//! What accounts and the system say of signing in: `auth_modules` of `crossbar.auth`, in an account's document
//! `configs_crossbar.auth`, those of its ancestors and `system_config`, merged (`crossbar_auth`).

use serde_json::{Map, Value};

use crate::document::{Document, json};

use super::account::AccountId;
use super::erlang::{integer_of, is_true};

/// The id of the configuration in an account's database.
pub const ACCOUNT_CONFIG: &str = "configs_crossbar.auth";

/// The id of the system's configuration in `system_config`.
pub const SYSTEM_CONFIG: &str = "crossbar.auth";

/// How long a token lives in seconds, unless something says otherwise.
const TOKEN_LIFETIME_S: i64 = 3600;

/// How one signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// With a user's name and password.
    Credentials,
    /// With an account's API key.
    ApiKey,
}

impl Method {
    /// The crossbar module of the method: what tokens, rules and configurations call it.
    pub fn module(self) -> &'static str {
        match self {
            Self::Credentials => "cb_user_auth",
            Self::ApiKey => "cb_api_auth",
        }
    }
}

/// In what form HTTP Basic brings a user's name and password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BasicType {
    /// The md5 of `user:password`.
    Md5,
    /// Its sha1.
    Sha,
    /// As they are.
    Plain,
}

/// How the attempts to sign in end that are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a token.
    Success,
    /// Without.
    Failed,
}

/// One document's part of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    modules: Option<Map<String, Value>>,
    basic_type: Option<String>,
    token_lifetime: Option<i64>,
}

impl Config {
    /// Reads an account's document, or the section `default` of the system's.
    pub fn of_document(document: &Document) -> Self {
        let modules = document.get("auth_modules").and_then(|raw| json::tree(raw).ok());
        Self {
            modules: modules
                .and_then(|modules| if let Value::Object(modules) = modules { Some(modules) } else { None }),
            basic_type: document.text("basic_auth_type"),
            token_lifetime: document.get("token_auth_expiry_s").and_then(integer_of),
        }
    }
}

/// What holds for an account: what its own document says before those of its ancestors, the nearest first, and last
/// the system's.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    modules: Option<Map<String, Value>>,
    basic_type: BasicType,
    default_lifetime: Option<i64>,
}

impl Settings {
    /// Puts an account's configuration together. The basic type is the account's own or the system's.
    pub fn new<'c>(
        system: &'c Config,
        ancestors: impl DoubleEndedIterator<Item = &'c Config>,
        own: Option<&'c Config>,
    ) -> Self {
        let outermost_first = [system].into_iter().chain(ancestors.rev()).chain(own);
        let mut modules: Option<Map<String, Value>> = None;
        for config in outermost_first.filter_map(|config| config.modules.as_ref()) {
            merge(modules.get_or_insert_default(), config);
        }
        let basic_type = own.and_then(|own| own.basic_type.as_deref()).or(system.basic_type.as_deref());
        Self {
            modules,
            basic_type: match basic_type {
                None | Some("md5") => BasicType::Md5,
                Some("sha") => BasicType::Sha,
                Some(_) => BasicType::Plain,
            },
            default_lifetime: system.token_lifetime,
        }
    }

    fn setting(&self, method: Method, path: &[&str]) -> Option<&Value> {
        let of_method = self.modules.as_ref()?.get(method.module())?;
        path.iter().try_fold(of_method, |value, key| value.get(key))
    }

    /// Whether one can sign in by this method at all: unless something says otherwise.
    pub fn is_enabled(&self, method: Method) -> bool {
        self.setting(method, &["enabled"]).is_none_or(is_true)
    }

    /// Whether who signs in to `account` must bring a second factor too. Where another account's configuration asks
    /// for it, only if that is to hold for the accounts below; from the system's own account it is always asked.
    pub fn asks_for_second_factor(&self, method: Method, account: AccountId, is_master: bool) -> bool {
        let factor = |key| self.setting(method, &["multi_factor", key]);
        let of_account = factor("account_id").and_then(Value::as_str).filter(|id| !id.is_empty());
        factor("enabled").is_some_and(is_true)
            && (is_master
                || of_account.is_none_or(|of| of == account.as_str())
                || factor("include_subaccounts").is_some_and(is_true))
    }

    /// How many seconds a new token lives.
    pub fn token_lifetime(&self, method: Method) -> i64 {
        let of_method = self.setting(method, &["token_auth_expiry_s"]).and_then(|value| integer_of(&json::raw(value)));
        let positive = |seconds: &i64| *seconds > 0;
        of_method.filter(positive).or(self.default_lifetime.filter(positive)).unwrap_or(TOKEN_LIFETIME_S)
    }

    /// Whether an attempt that ended so is written down.
    pub fn writes_down(&self, method: Method, outcome: Outcome) -> bool {
        let (key, default) = match outcome {
            Outcome::Success => ("log_successful_attempts", method == Method::Credentials),
            Outcome::Failed => ("log_failed_attempts", true),
        };
        match &self.modules {
            // where nothing is configured, Kazoo's own defaults hold
            None => default,
            Some(_) => self.setting(method, &[key]).is_some_and(is_true),
        }
    }

    /// In what form HTTP Basic brings a user's name and password.
    pub fn basic_type(&self) -> BasicType {
        self.basic_type
    }
}

/// Objects key by key at every depth; everything else of `over` replaces what is there.
fn merge(target: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (target.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(over)) => merge(inner, over),
            _ => drop(target.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ACCOUNT: &str = "23cb9daa4d26bf0ba43047733a6cfadf";
    const BELOW: &str = "24e32619a5db7fc34bc3007d2f15cf86";

    fn config(document: Value) -> Config {
        Config::of_document(&Document::parse(&document.to_string()).unwrap())
    }

    fn user_auth(settings: Value) -> Config {
        config(json!({ "auth_modules": { "cb_user_auth": settings } }))
    }

    fn settings(system: &Config, ancestors: &[Config], own: Option<&Config>) -> Settings {
        Settings::new(system, ancestors.iter(), own)
    }

    #[test]
    fn the_nearest_configuration_counts_setting_by_setting() {
        let system = user_auth(json!({"enabled": false, "token_auth_expiry_s": 900, "log_failed_attempts": "true"}));
        let near = user_auth(json!({"token_auth_expiry_s": "600"}));
        let far = user_auth(json!({"enabled": true}));
        let ancestors = [near, far];
        let found = settings(&system, &ancestors, None);
        assert!(found.is_enabled(Method::Credentials) && found.is_enabled(Method::ApiKey));
        assert_eq!(found.token_lifetime(Method::Credentials), 600);
        assert!(found.writes_down(Method::Credentials, Outcome::Failed));
        assert!(!found.writes_down(Method::Credentials, Outcome::Success));
        let own = user_auth(json!({"enabled": false, "token_auth_expiry_s": 0}));
        let found = settings(&system, &ancestors, Some(&own));
        assert!(!found.is_enabled(Method::Credentials));
        assert_eq!(found.token_lifetime(Method::Credentials), 3600);
        let system = config(json!({"token_auth_expiry_s": 1200, "basic_auth_type": "sha"}));
        let found = settings(&system, &[], Some(&config(json!({"basic_auth_type": "plain"}))));
        assert_eq!(found.token_lifetime(Method::ApiKey), 1200);
        assert_eq!(found.basic_type(), BasicType::Plain);
    }

    #[test]
    fn where_nothing_is_configured_kazoos_defaults_hold() {
        let found = settings(&Config::default(), &[], None);
        assert_eq!(found.token_lifetime(Method::Credentials), 3600);
        assert_eq!(found.basic_type(), BasicType::Md5);
        for (method, success) in [(Method::Credentials, true), (Method::ApiKey, false)] {
            assert!(found.is_enabled(method));
            assert!(found.writes_down(method, Outcome::Failed));
            assert_eq!(found.writes_down(method, Outcome::Success), success);
        }
    }

    #[test]
    fn whose_second_factor() {
        let account = ACCOUNT.parse().unwrap();
        let below = BELOW.parse().unwrap();
        let asks = |factor: Value, of: AccountId, is_master: bool| {
            let config = user_auth(json!({ "multi_factor": factor }));
            settings(&config, &[], None).asks_for_second_factor(Method::Credentials, of, is_master)
        };
        let of_account = json!({"enabled": true, "account_id": ACCOUNT});
        assert!(asks(of_account.clone(), account, false));
        assert!(!asks(of_account.clone(), below, false));
        assert!(asks(of_account, below, true));
        assert!(asks(json!({"enabled": true, "account_id": ACCOUNT, "include_subaccounts": true}), below, false));
        assert!(asks(json!({"enabled": "true"}), below, false));
        assert!(!asks(json!({"enabled": false}), account, true));
    }
}
