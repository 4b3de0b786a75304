//! A request's path, read as crossbar reads it: a version, then nouns with their parameters. A segment that is no noun
//! is a parameter of the noun before it, so `/v2/accounts/A/users/U/groups` is `accounts [A]`, `users [U]`,
//! `groups []`, and what the last noun makes of its parameters is the resource.

use percent_encoding::percent_decode_str;

use super::error::Error;

/// The nouns that take part in what we serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noun {
    Accounts,
    Groups,
    Users,
    Devices,
    UserAuth,
    ApiAuth,
    Schemas,
    About,
}

/// The token's own account, as a segment: `/v2/account/…` for `/v2/accounts/{id}/…`.
const OWN_ACCOUNT: &str = "account";

impl Noun {
    fn named(segment: &str) -> Option<Self> {
        Some(match segment {
            "accounts" | OWN_ACCOUNT => Self::Accounts,
            "groups" => Self::Groups,
            "users" => Self::Users,
            "devices" => Self::Devices,
            "user_auth" => Self::UserAuth,
            "api_auth" => Self::ApiAuth,
            "schemas" => Self::Schemas,
            "about" => Self::About,
            _ => return None,
        })
    }
}

/// What a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `…/groups`
    Groups,
    /// `…/groups/{id}`
    Group(String),
    /// `/v2/user_auth`
    UserAuth,
    /// `/v2/api_auth`
    ApiAuth,
    /// `/v2/schemas`
    Schemas,
    /// `/v2/schemas/{name}`
    Schema(String),
    /// `/v2/schemas/{name}/validation`
    SchemaValidation(String),
    /// `/v2/about`
    About,
    /// `/v2/accounts/{id}`, which Kazoo serves and we don't
    Account,
    /// Nothing that we know.
    Unknown,
}

impl Resource {
    /// The methods that the resource has, in the order in which Kazoo tells them.
    pub fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Groups => &["PUT", "GET"],
            Self::Group(_) => &["PATCH", "POST", "GET", "DELETE"],
            Self::UserAuth | Self::ApiAuth | Self::SchemaValidation(_) => &["PUT"],
            Self::Schemas | Self::Schema(_) | Self::About => &["GET"],
            Self::Account => &["PATCH", "POST", "PUT", "GET", "DELETE"],
            Self::Unknown => &[],
        }
    }

    /// What counts and alerts call the resource.
    pub fn route(&self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Group(_) => "groups/{id}",
            Self::UserAuth => "user_auth",
            Self::ApiAuth => "api_auth",
            Self::Schemas => "schemas",
            Self::Schema(_) => "schemas/{name}",
            Self::SchemaValidation(_) => "schemas/{name}/validation",
            Self::About => "about",
            Self::Account | Self::Unknown => "other",
        }
    }

    /// Whether one needs no token for it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::UserAuth | Self::ApiAuth | Self::Schemas | Self::Schema(_) | Self::SchemaValidation(_))
    }
}

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
    /// Whether it has any noun at all; `/v2` has none.
    pub has_nouns: bool,
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
        let nouns = Nouns::read(segments);
        Ok(Some(Self {
            has_pages: version != "1",
            account: nouns.account(),
            user: nouns.parameter(Noun::Users),
            device: nouns.parameter(Noun::Devices),
            resource: nouns.resource(),
            has_nouns: !nouns.nouns.is_empty(),
        }))
    }
}

fn decoded(segment: &str) -> Result<String, Error> {
    let escapes = segment.match_indices('%').all(|(at, _)| {
        segment.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| Error::BadPath)?;
    if escapes { Ok(text.into_owned()) } else { Err(Error::BadPath) }
}

/// A path's nouns, each with its parameters; none at all where the first segment is no noun.
struct Nouns {
    nouns: Vec<(Noun, Vec<String>)>,
    is_own_account: bool,
}

impl Nouns {
    fn read(segments: Vec<String>) -> Self {
        let is_own_account = segments.first().is_some_and(|first| first == OWN_ACCOUNT);
        let mut nouns: Vec<(Noun, Vec<String>)> = Vec::new();
        for segment in segments {
            let of_schemas = nouns.last().is_some_and(|(noun, _)| *noun == Noun::Schemas);
            match (Noun::named(&segment).filter(|_| !of_schemas), nouns.last_mut()) {
                (Some(noun), _) => nouns.push((noun, Vec::new())),
                (None, Some((_, parameters))) => parameters.push(segment),
                (None, None) => break,
            }
        }
        Self { nouns, is_own_account }
    }

    fn account(&self) -> NamedAccount {
        if self.is_own_account {
            return NamedAccount::Own;
        }
        self.parameter(Noun::Accounts).map_or(NamedAccount::None, NamedAccount::Id)
    }

    /// The first parameter of a noun.
    fn parameter(&self, noun: Noun) -> Option<String> {
        self.nouns.iter().find(|(of, _)| *of == noun).and_then(|(_, parameters)| parameters.first().cloned())
    }

    fn resource(&self) -> Resource {
        let Some(((head, parameters), before)) = self.nouns.split_last() else { return Resource::Unknown };
        let most = |noun: Noun| usize::from(!(noun == Noun::Accounts && self.is_own_account));
        let is_chain = before.iter().all(|(noun, parameters)| parameters.len() <= most(*noun));
        let alone = before.is_empty();
        match (head, parameters.as_slice()) {
            _ if !is_chain => Resource::Unknown,
            (Noun::Groups, []) => Resource::Groups,
            (Noun::Groups, [id]) => Resource::Group(id.clone()),
            (Noun::UserAuth, []) if alone => Resource::UserAuth,
            (Noun::ApiAuth, []) if alone => Resource::ApiAuth,
            (Noun::Schemas, []) if alone => Resource::Schemas,
            (Noun::Schemas, [name]) if alone => Resource::Schema(name.clone()),
            (Noun::Schemas, [name, last]) if alone && last == "validation" => Resource::SchemaValidation(name.clone()),
            (Noun::About, []) if alone => Resource::About,
            (Noun::Accounts, parameters) if parameters.len() == most(Noun::Accounts) => Resource::Account,
            _ => Resource::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> Resource {
        Path::parse(path).unwrap().unwrap().resource
    }

    #[test]
    fn the_last_noun_and_its_parameters_are_the_resource() {
        assert_eq!(resource("/v2/accounts/A/groups"), Resource::Groups);
        assert_eq!(resource("/v2/accounts/A/groups/"), Resource::Groups);
        assert_eq!(resource("/v2/accounts/A/groups/groups"), Resource::Groups);
        assert_eq!(resource("/v3/accounts/A/users/U/groups/G"), Resource::Group("G".to_owned()));
        assert_eq!(resource("/v2/account/groups/a%20b"), Resource::Group("a b".to_owned()));
        assert_eq!(resource("/v2/accounts/A%2fgroups"), Resource::Account);
        for unknown in ["/v2", "/v2/", "/v2//accounts/A/groups", "/v2/accounts/A/frobs", "/v2/accounts/A/groups/G/x"] {
            assert_eq!(resource(unknown), Resource::Unknown, "{unknown}");
        }
        assert_eq!(resource("/v2/accounts/A/../A/groups"), Resource::Unknown);
        assert_eq!(resource("/v2/schemas/groups/validation"), Resource::SchemaValidation("groups".to_owned()));
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
