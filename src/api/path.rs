//! A request's path, read as crossbar reads it: a version, then nouns with their parameters. A segment that is no noun
//! is a parameter of the noun before it, so `/v2/accounts/A/users/U/groups` is `accounts [A]`, `users [U]`,
//! `groups []`, and what the last noun makes of its parameters is the resource.

use percent_encoding::percent_decode_str;

use super::error::Error;
use super::nouns::{LAST_NOUNS, Noun};
use super::resource::Resource;

/// The token's own account, as a path's first segment: `/v2/account/…` for `/v2/accounts/{id}/…`.
const OWN_ACCOUNT: &str = "account";

/// What stands in the place of an id where those are meant that are deleted.
const DELETED: &str = "_deleted";

/// Which account a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedAccount {
    /// None: no `accounts` noun, or one without an id.
    None,
    /// The token's own.
    Own,
    /// The one whose id this text should be.
    Id(String),
}

/// A path that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Whether lists come in pages: not in the first version.
    pub has_pages: bool,
    /// Which account it names.
    pub account: NamedAccount,
    /// The user whose groups it is about.
    pub user: Option<String>,
    /// The device that it leads through; its groups are all of the account's.
    pub device: Option<String>,
    /// What it is about.
    pub resource: Resource,
    /// The noun that it ends with, and the noun's parameters; `/v2` has none.
    pub end: Option<(String, Vec<String>)>,
    /// Whether one needs no token for it.
    pub is_open: bool,
    /// Whether it begins with the token's own account, whichever it is about in the end.
    pub needs_own_account: bool,
    /// Whether it says more of an account than Kazoo makes anything of.
    pub is_too_long: bool,
}

impl Path {
    /// Reads the path of a URL; None if it does not begin with a version.
    ///
    /// Errors: [`Error::BadPath`].
    pub fn parse(path: &str) -> Result<Option<Self>, Error> {
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
        let version = segments.next().and_then(|segment| segment.strip_prefix('v')).unwrap_or_default();
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let mut segments = segments.map(decoded).collect::<Result<Vec<_>, _>>()?;
        if segments.last().is_some_and(String::is_empty) {
            segments.pop();
        }
        let mut nouns = Nouns::read(segments);
        let resource = nouns.resource();
        Ok(Some(Self {
            is_open: nouns.nouns.len() == 1 && resource.can_be_open(),
            needs_own_account: nouns.is_own_account,
            is_too_long: nouns.is_too_long(),
            has_pages: version != "1",
            account: nouns.account(),
            // of more parameters than these Kazoo makes nothing
            user: nouns.parameter_of("users", 3),
            device: nouns.parameter_of("devices", 1),
            resource,
            end: nouns.nouns.pop().map(|named| (named.name, named.parameters)),
        }))
    }
}

fn decoded(segment: &str) -> Result<String, Error> {
    if !segment.as_bytes().contains(&b'%') {
        return Ok(segment.to_owned());
    }
    let escapes = segment.match_indices('%').all(|(at, _)| {
        segment.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| Error::BadPath)?;
    if escapes { Ok(text.into_owned()) } else { Err(Error::BadPath) }
}

/// A path's nouns; none at all where the first segment is no noun.
struct Nouns {
    nouns: Vec<Named>,
    is_own_account: bool,
}

/// A noun, as it was named, and its parameters.
struct Named {
    noun: Noun,
    name: String,
    parameters: Vec<String>,
}

impl Nouns {
    fn read(segments: Vec<String>) -> Self {
        let is_own_account = segments.first().is_some_and(|first| first == OWN_ACCOUNT);
        let mut nouns: Vec<Named> = Vec::new();
        for (at, segment) in segments.into_iter().enumerate() {
            let is_parameter = nouns.last().is_some_and(|before| LAST_NOUNS.contains(&before.name.as_str()));
            let noun = match Noun::named(&segment).filter(|_| !is_parameter) {
                None if at == 0 && is_own_account => Some(Noun::Accounts),
                noun => noun,
            };
            match (noun, nouns.last_mut()) {
                (Some(noun), _) => nouns.push(Named { noun, name: segment, parameters: Vec::new() }),
                (None, Some(before)) => before.parameters.push(segment),
                (None, None) => break,
            }
        }
        Self { nouns, is_own_account }
    }

    /// Of two accounts the last counts: for what is shown, and for the right to it.
    fn account(&self) -> NamedAccount {
        let accounts = self.nouns.iter().rposition(|named| named.noun == Noun::Accounts);
        match accounts {
            Some(0) if self.is_own_account => NamedAccount::Own,
            Some(_) => self.parameter_of("accounts", usize::MAX).map_or(NamedAccount::None, NamedAccount::Id),
            None => NamedAccount::None,
        }
    }

    /// The first parameter of a noun, the last of that name, if it has at most so many.
    fn parameter_of(&self, noun: &str, most: usize) -> Option<String> {
        let named = self.nouns.iter().rev().find(|named| named.name == noun)?;
        named.parameters.first().filter(|_| named.parameters.len() <= most).cloned()
    }

    fn resource(&self) -> Resource {
        let Some((end, before)) = self.nouns.split_last() else { return Resource::Unknown };
        let alone = before.is_empty();
        match (end.noun, end.parameters.as_slice()) {
            (Noun::Documents(kind), []) => Resource::Documents(kind),
            (Noun::Documents(kind), [id]) if id == DELETED => Resource::Deleted(kind),
            (Noun::Documents(kind), [id]) => Resource::Document(kind, id.clone()),
            (Noun::Documents(kind), [id, last]) if last == "rings" => Resource::Rings(kind, id.clone()),
            (Noun::Documents(kind), [id, last]) if last == "used_by" => Resource::UsedBy(kind, id.clone()),
            (Noun::Documents(kind), [id, last]) if last == "restore" => Resource::Restoring(kind, id.clone()),
            (Noun::UserAuth, []) if alone => Resource::UserAuth,
            (Noun::ApiAuth, []) if alone => Resource::ApiAuth,
            (Noun::Schemas, []) => Resource::Schemas,
            (Noun::Schemas, [name]) => Resource::Schema(name.clone()),
            (Noun::Schemas, [name, last]) if last == "validation" => Resource::SchemaValidation(name.clone()),
            (Noun::About, []) => Resource::About,
            (Noun::Accounts, []) if alone && self.is_own_account => Resource::Account,
            (Noun::Accounts, [_]) if !(alone && self.is_own_account) => Resource::Account,
            _ => Resource::Unknown,
        }
    }

    /// An account is named by its id, or by none for the token's own, and one text more of which nothing is made.
    fn is_too_long(&self) -> bool {
        self.nouns.iter().enumerate().any(|(at, named)| {
            let most = if at == 0 && self.is_own_account { 1 } else { 2 };
            named.noun == Noun::Accounts && named.parameters.len() > most
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::kazoo::kind::GROUPS;

    use super::*;

    fn resource(path: &str) -> Resource {
        Path::parse(path).unwrap().unwrap().resource
    }

    #[test]
    fn the_last_noun_and_its_parameters_are_the_resource() {
        assert_eq!(resource("/v2/accounts/A/groups"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v2/accounts/A/groups/"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v2/accounts/A/groups/groups"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v3/accounts/A/users/U/groups/G"), Resource::Document(&GROUPS, "G".to_owned()));
        assert_eq!(resource("/v2/account/groups/a%20b"), Resource::Document(&GROUPS, "a b".to_owned()));
        assert_eq!(resource("/v2/account/any/groups"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v2/accounts/A/callflows/C/groups"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v2/accounts/A/configs/groups"), Resource::Unknown);
        assert_eq!(resource("/v2/accounts/A%2fgroups"), Resource::Account);
        for unknown in ["/v2", "/v2/", "/v2//accounts/A/groups", "/v2/accounts/A/frobs", "/v2/accounts/A/groups/G/x"] {
            assert_eq!(resource(unknown), Resource::Unknown, "{unknown}");
        }
        assert_eq!(resource("/v2/accounts/A/groups/G/rings"), Resource::Rings(&GROUPS, "G".to_owned()));
        assert_eq!(resource("/v2/accounts/A/groups/G/used_by"), Resource::UsedBy(&GROUPS, "G".to_owned()));
        assert_eq!(resource("/v2/accounts/A/groups/_deleted"), Resource::Deleted(&GROUPS));
        assert_eq!(resource("/v2/accounts/A/groups/deleted"), Resource::Document(&GROUPS, "deleted".to_owned()));
        assert_eq!(resource("/v2/accounts/A/groups/G/restore"), Resource::Restoring(&GROUPS, "G".to_owned()));
        assert_eq!(resource("/v2/accounts/A/users/U/x/groups"), Resource::Documents(&GROUPS));
        assert_eq!(resource("/v2/schemas/groups/validation"), Resource::SchemaValidation("groups".to_owned()));
    }

    #[test]
    fn more_of_an_account_than_its_id_and_a_text_is_too_long() {
        let parsed = |path: &str| Path::parse(path).unwrap().unwrap();
        for path in ["/v2/accounts/A/../A/groups", "/v2/account/a/b/groups", "/v2/accounts/A/accounts/B/x/y/groups"] {
            assert!(parsed(path).is_too_long, "{path}");
        }
        for path in ["/v2/accounts/A/x/groups", "/v2/account/a/groups", "/v2/accounts/A/users/U/x/y/groups"] {
            assert!(!parsed(path).is_too_long, "{path}");
        }
    }

    #[test]
    fn schemas_are_open_where_nothing_else_is_named() {
        let is_open = |path: &str| Path::parse(path).unwrap().unwrap().is_open;
        for path in ["/v2/schemas", "/v2/schemas/groups/validation", "/v2/user_auth", "/v2/api_auth/"] {
            assert!(is_open(path), "{path}");
        }
        for path in ["/v2/accounts/A/schemas/groups", "/v2/account/user_auth", "/v2/about", "/v2/accounts/A/groups"] {
            assert!(!is_open(path), "{path}");
        }
    }

    #[test]
    fn of_two_accounts_the_last_counts() {
        let account = |path: &str| Path::parse(path).unwrap().unwrap().account;
        let id = |id: &str| NamedAccount::Id(id.to_owned());
        assert_eq!(account("/v2/accounts/A/groups"), id("A"));
        assert_eq!(account("/v2/accounts/A/accounts/B/groups"), id("B"));
        assert_eq!(account("/v2/account/accounts/B/groups"), id("B"));
        assert_eq!(account("/v2/accounts/A/account/groups"), id("A"));
        assert_eq!(account("/v2/account/B/groups"), NamedAccount::Own);
        assert_eq!(account("/v2/accounts/groups"), NamedAccount::None);
    }

    #[test]
    fn a_path_without_a_version_is_none() {
        for path in ["/", "/accounts/A/groups", "/v/x", "/vx/accounts"] {
            assert_eq!(Path::parse(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn a_bad_percent_sign_is_refused() {
        for path in ["/v2/%zz", "/v2/%", "/v2/a%2", "/v2/%ff"] {
            assert!(matches!(Path::parse(path), Err(Error::BadPath)), "{path}");
        }
    }
}
