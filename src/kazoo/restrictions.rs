//! Token restrictions (`cb_token_restrictions`): what an account's owner lets the account's tokens do, by how a token
//! was come by, by its user's privilege level, by the noun that a path ends with, by account, by parameters, by verb.
//!
//! They stand in the document `token_restrictions` of the token's account, or else in
//! `system_config/crossbar.token_restrictions`. Where there are rules, what none of them names is denied.

use serde_json::{Map, Value};

use crate::document::{Document, json};

use super::account::AccountId;
use super::verb::Verb;

/// The id of the document in an account's database.
pub const DOCUMENT: &str = "token_restrictions";

/// The id of the system's document in `system_config`.
pub const CONFIG: &str = "crossbar.token_restrictions";

/// The key, account or verb that stands for any.
const ANY: &str = "_";

/// Names for accounts that stand in the rules: the token's own, and those below it.
const OWN_ACCOUNT: &str = "{AUTH_ACCOUNT_ID}";
const DESCENDANT: &str = "{DESCENDANT_ACCOUNT_ID}";

/// The privilege level of a token without a user, unless the system's configuration says otherwise.
const DEFAULT_PRIV_LEVEL: &str = "admin";

/// The restrictions are there, but are not of their form: nobody can tell what they were to allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token restrictions: {0} is no object")]
pub struct Malformed(String);

/// Restrictions of an account, or of the system: the rules of each method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restrictions {
    methods: Map<String, Value>,
    default_priv_level: Option<String>,
}

impl Restrictions {
    /// Those of an account's document.
    ///
    /// Errors: it is not of its form.
    pub fn of_account(document: &Document) -> Result<Self, Malformed> {
        match document.get("restrictions").map(json::tree) {
            None | Some(Ok(Value::Null)) => Ok(Self::default()),
            Some(Ok(Value::Object(methods))) => Ok(Self { methods, default_priv_level: None }),
            Some(_) => Err(Malformed("restrictions".to_owned())),
        }
    }

    /// Those of the system: the section `default` of its document.
    pub fn of_system(defaults: &Document) -> Self {
        let objects = defaults.iter().filter_map(|(key, raw)| {
            let value = json::tree(raw).ok()?;
            value.is_object().then(|| (key.to_owned(), value))
        });
        Self { methods: objects.collect(), default_priv_level: defaults.text("default_priv_level") }
    }

    /// The privilege level of who has none of their own: a token without a user.
    pub fn default_priv_level(&self) -> &str {
        self.default_priv_level.as_deref().unwrap_or(DEFAULT_PRIV_LEVEL)
    }

    /// The rules of a method's tokens, or of any method's; by privilege level.
    fn of_method(&self, method: &str) -> Option<&Value> {
        let defined = |key: &str| self.methods.get(key).filter(|value| !value.is_null());
        defined(method).or_else(|| defined(ANY))
    }
}

/// Which account a request is about, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// None.
    Nobody,
    /// The token's own.
    Own(AccountId),
    /// One below it.
    Descendant(AccountId),
    /// Another one.
    Other(AccountId),
}

impl Whose {
    fn is_called(self, name: &str) -> bool {
        let (id, role) = match self {
            Self::Nobody => return name == ANY,
            Self::Own(id) => (id, Some(OWN_ACCOUNT)),
            Self::Descendant(id) => (id, Some(DESCENDANT)),
            Self::Other(id) => (id, None),
        };
        name == ANY || name == id.as_str() || role == Some(name)
    }
}

/// What a request does, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access<'a> {
    /// The noun that the path ends with.
    pub noun: &'a str,
    /// The noun's parameters.
    pub parameters: &'a [String],
    /// The account.
    pub account: Whose,
    /// What is to be done.
    pub verb: Verb,
}

/// Whether a token of this `method` (a crossbar module's name) and privilege level may do what `access` says, by its
/// account's restrictions or else by the system's. Who may act on which account at all is another rule.
///
/// Errors: the rules are not of their form.
pub fn allow(
    account: &Restrictions,
    system: &Restrictions,
    method: &str,
    priv_level: &str,
    access: &Access<'_>,
) -> Result<bool, Malformed> {
    let Some(levels) = account.of_method(method).or_else(|| system.of_method(method)) else { return Ok(true) };
    let levels = levels.as_object().ok_or_else(|| Malformed(method.to_owned()))?;
    let level = if levels.contains_key(priv_level) { priv_level } else { ANY };
    match levels.get(level) {
        None | Some(Value::Null) => Ok(true),
        Some(Value::Object(nouns)) => Ok(verbs(nouns, access).iter().any(|verb| {
            let verb = verb.as_str();
            verb == Some(access.verb.name()) || verb == Some(ANY)
        })),
        Some(_) => Err(Malformed(level.to_owned())),
    }
}

/// The verbs that the rules name for what is asked for.
fn verbs<'r>(nouns: &'r Map<String, Value>, access: &Access<'_>) -> &'r [Value] {
    let of_noun = |noun: &str| nouns.get(noun).and_then(Value::as_array);
    let entries = of_noun(access.noun).or_else(|| of_noun(ANY)).map_or(&[][..], Vec::as_slice);
    let fits = |entry: &&Value| match entry.get("allowed_accounts").and_then(Value::as_array) {
        None => entry.is_object(),
        Some(names) => names.iter().filter_map(Value::as_str).any(|name| access.account.is_called(name)),
    };
    // the first that is for the account counts, and of its rules the first that is for the parameters
    let rules = entries.iter().find(fits).and_then(|entry| entry.get("rules")?.as_object());
    let rule = rules.and_then(|rules| rules.iter().find(|(pattern, _)| matches(pattern, access.parameters)));
    rule.and_then(|(_, verbs)| verbs.as_array()).map_or(&[], Vec::as_slice)
}

/// Whether a pattern stands for a noun's parameters: segments with slashes between them, `*` for one of any text, `#`
/// for any number of them, `/` for none at all.
fn matches(pattern: &str, parameters: &[String]) -> bool {
    let segments: Vec<&str> = pattern.split('/').collect();
    let end = segments.iter().rposition(|segment| !segment.is_empty()).map_or(0, |last| last + 1);
    segments_match(&segments[..end], parameters)
}

/// It takes as many steps as there are segments times parameters, however many of them stand for any number.
fn segments_match(pattern: &[&str], parameters: &[String]) -> bool {
    // after how many of the parameters the segments so far may end
    let mut ends = vec![false; parameters.len() + 1];
    ends[0] = true;
    for segment in pattern {
        if *segment == "#" {
            let first = ends.iter().position(|ends| *ends).unwrap_or(ends.len());
            ends[first..].fill(true);
        } else {
            for (at, parameter) in parameters.iter().enumerate().rev() {
                ends[at + 1] = ends[at] && (*segment == "*" || segment == parameter);
            }
            ends[0] = false;
        }
    }
    ends[parameters.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const OWN: &str = "23cb9daa4d26bf0ba43047733a6cfadf";
    const BELOW: &str = "24e32619a5db7fc34bc3007d2f15cf86";

    /// The rule as it stands in words in the contract, sentence by sentence.
    mod in_words {
        use serde_json::Value;

        pub struct Token<'a> {
            pub method: &'a str,
            pub priv_level: &'a str,
        }

        pub struct Request<'a> {
            pub noun: &'a str,
            pub parameters: &'a [String],
            pub verb: &'a str,
            pub account: Option<&'a str>,
            pub is_own: bool,
            pub is_descendant: bool,
        }

        pub fn denies(account: &Value, system: &Value, token: &Token<'_>, request: &Request<'_>) -> bool {
            // "`restrictions.{method}` or `restrictions._`, else the system's (`{method}` or `_`)"
            let places = [&account["restrictions"], system];
            let candidates = places.iter().flat_map(|of| [of.get(token.method), of.get("_")]);
            let Some(rules) = candidates.flatten().next() else { return false };
            // "the rules of the owner's `priv_level`, else `_`. No rules: nothing is restricted"
            let Some(rules) = rules.get(token.priv_level).or_else(|| rules.get("_")) else { return false };
            // "by the path's last noun, else `_`"
            let Some(list) = rules.get(request.noun).or_else(|| rules.get("_")) else { return true };
            // "of its list the first whose `allowed_accounts` fits"
            let Some(first) = list.as_array().unwrap().iter().find(|one| fits(one, request)) else { return true };
            // "of its `rules` the first whose pattern fits the noun's parameters"
            let Some(rules) = first.get("rules") else { return true };
            let Some((_, verbs)) = rules.as_object().unwrap().iter().find(|(pattern, _)| covers(pattern, request))
            else {
                return true;
            };
            // "its list must hold the verb, or `_`"
            !verbs.as_array().unwrap().iter().any(|verb| verb == request.verb || verb == "_")
        }

        /// "absent or `["_"]`: any; an account id; `{AUTH_ACCOUNT_ID}`: the token's own; `{DESCENDANT_ACCOUNT_ID}`:
        /// one below it"
        fn fits(one: &Value, request: &Request<'_>) -> bool {
            let Some(allowed) = one.get("allowed_accounts") else { return true };
            allowed.as_array().unwrap().iter().any(|name| match name.as_str().unwrap() {
                "_" => true,
                "{AUTH_ACCOUNT_ID}" => request.is_own,
                "{DESCENDANT_ACCOUNT_ID}" => request.is_descendant,
                id => request.account == Some(id),
            })
        }

        /// "`/` none, `*` one, `#` any number, or a text; segments by `/`"
        fn covers(pattern: &str, request: &Request<'_>) -> bool {
            let text = request.parameters.iter().map(|one| format!("/{one}")).collect::<String>();
            let pieces = pattern.trim_end_matches('/').split('/').filter(|_| pattern != "/" && !pattern.is_empty());
            let expression = pieces
                .map(|piece| match piece {
                    "*" => "/[^/]+".to_owned(),
                    "#" => "(/[^/]+)*".to_owned(),
                    text => format!("/{text}"),
                })
                .collect::<String>();
            regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&text)
        }
    }

    fn one_of(texts: &[&str]) -> impl Strategy<Value = String> + use<> {
        prop::sample::select(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn object_of(keys: &'static [&'static str], value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        let fields = prop::collection::vec((one_of(keys), value), 0..4);
        fields.prop_map(|fields| Value::Object(fields.into_iter().collect())).boxed()
    }

    fn list_of(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        prop::collection::vec(value, 0..3).prop_map(Value::Array).boxed()
    }

    fn any_rules() -> BoxedStrategy<Value> {
        let verbs = list_of(one_of(&["GET", "PUT", "PATCH", "_", "get"]).prop_map(Value::String).boxed());
        let rules = object_of(&["/", "*", "#", "#/*", "*/b", "a", "a/b", ""], verbs);
        let names = one_of(&["_", OWN_ACCOUNT, DESCENDANT, OWN, BELOW, "other"]).prop_map(Value::String).boxed();
        let entry = (prop::option::of(list_of(names)), prop::option::weighted(0.9, rules));
        let entry = entry.prop_map(|(accounts, rules)| {
            let fields = [("allowed_accounts", accounts), ("rules", rules)];
            Value::Object(fields.into_iter().filter_map(|(key, of)| Some((key.to_owned(), of?))).collect())
        });
        let nouns = object_of(&["groups", "schemas", "_"], list_of(entry.boxed()));
        object_of(&["cb_user_auth", "cb_api_auth", "_"], object_of(&["user", "admin", "_"], nouns))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn the_decision_is_that_of_the_rule_in_words(
            account in any_rules(),
            system in any_rules(),
            method in one_of(&["cb_user_auth", "cb_api_auth", "cb_auth"]),
            priv_level in one_of(&["user", "admin", "other"]),
            noun in one_of(&["groups", "schemas", "about"]),
            parameters in prop::collection::vec(one_of(&["a", "b"]), 0..3),
            verb in prop::sample::select(vec![Verb::Get, Verb::Put, Verb::Delete]),
            whose in 0..4,
        ) {
            let id = |text: &str| text.parse::<AccountId>().unwrap();
            let (whose, named) = match whose {
                0 => (Whose::Nobody, None),
                1 => (Whose::Own(id(OWN)), Some(OWN)),
                2 => (Whose::Descendant(id(BELOW)), Some(BELOW)),
                _ => (Whose::Other(id(BELOW)), Some(BELOW)),
            };
            let request = in_words::Request {
                noun: &noun,
                parameters: &parameters,
                verb: verb.name(),
                account: named,
                is_own: matches!(whose, Whose::Own(_)),
                is_descendant: matches!(whose, Whose::Descendant(_)),
            };
            let token = in_words::Token { method: &method, priv_level: &priv_level };
            let document = json!({ "restrictions": account });
            let denied = in_words::denies(&document, &system, &token, &request);

            let parsed = |tree: &Value| Document::parse(&tree.to_string()).unwrap();
            let account = Restrictions::of_account(&parsed(&document)).unwrap();
            let system = Restrictions::of_system(&parsed(&system));
            let access = Access { noun: &noun, parameters: &parameters, account: whose, verb };
            prop_assert_eq!(allow(&account, &system, &method, &priv_level, &access), Ok(!denied));
        }
    }

    #[test]
    fn no_pattern_is_tried_in_every_way() {
        let parameters = vec!["a".to_owned(); 1_000];
        assert!(!matches(&format!("{}b", "#/".repeat(100)), &parameters));
        assert!(matches(&format!("{}a", "#/*/".repeat(100)), &parameters));
    }

    #[test]
    fn patterns() {
        for (pattern, parameters, fits) in [
            ("/", &[][..], true),
            ("", &[], true),
            ("/", &["a"], false),
            ("*", &[], false),
            ("*", &["a"], true),
            ("*", &["a", "b"], false),
            ("#", &[], true),
            ("#", &["a", "b"], true),
            ("a", &["a"], true),
            ("a/", &["a"], true),
            ("/a", &["a"], false),
            ("a", &["b"], false),
            ("*/validation", &["groups", "validation"], true),
            ("#/b", &["a", "b"], true),
            ("#/b", &["b", "a"], false),
            ("#/*", &[], false),
        ] {
            let parameters: Vec<String> = parameters.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(matches(pattern, &parameters), fits, "{pattern} for {parameters:?}");
        }
    }
}
