//! What the API is, as an OpenAPI 3.1 document: its operations (`operations/`), and what each takes and answers. Errors
//! are those of the catalogue ([`crate::api::Error`]), groups what their JSON schema says, parameters what requests are read by.
//!
//! An operation is added in `operations/`; `tests/it/openapi.rs` then sends each of its examples, and keeps what was
//! answered in `answers.json`.

mod answers;
mod operation;
mod operations;
mod parameters;
pub mod postman;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApiBuilder, Paths, Server};

use operations::{TAGS, operations};

/// What there is to say before the operations.
const DESCRIPTION: &str = "Kazoo 4.3's crossbar for groups. Paths begin with the version, `/v2`; in `/v1` lists have no pages and an \
    error's `data` is its text. `/v2/account/…` is the account of the token. A segment of a path that is no noun is a parameter of the \
    noun before it. HEAD is answered where GET is, and OPTIONS everywhere. A POST may carry another verb in `verb`. What the body's \
    envelope holds beside `data` (`auth_token`, `verb`, `page_size`, …) is read like a parameter of the query. `jsonp=NAME` wraps
    an answer in a call of that function. Times are gregorian \
    seconds.";

/// The schemes by which a request says whom it speaks for.
const TOKEN: &str = "token";
const TOKEN_IN_QUERY: &str = "tokenInQuery";
const BASIC: &str = "basic";

/// The document as it is served: the same from every process of this version.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    &TEXT
}

/// The document.
pub fn document() -> Value {
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("crossbar-groups")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    let operations = operations();
    let errors = operations.iter().flat_map(|operation| &operation.errors).filter_map(answers::example);
    let components = errors.fold(security_schemes(), |components, (name, example)| components.example(name, example));
    let mut paths = Paths::new();
    for operation in operations {
        let verb = operation.http_method();
        paths.add_path_operation(operation.path.clone(), vec![verb], operation.into_operation());
    }
    let tags = TAGS.map(|(name, text)| TagBuilder::new().name(name).description(Some(text)).build());
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .tags(Some(tags))
        .components(Some(components.build()))
        .build();
    // the document is made of texts, maps and numbers: it is always JSON
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    // these are JSON schemas already, and Kazoo's have keywords of their own
    document["components"]["schemas"] = Value::Object(schemas::all());
    document
}

fn security_schemes() -> ComponentsBuilder {
    let token = "The `auth_token` of a sign-in, here or at Kazoo.";
    let in_query = "The same, for clients that can send no headers.";
    let basic = "The account's id as the user; as the password the md5 of `user:password` (or what `basic_auth_type` of \
        `crossbar.auth` says).";
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some(basic)).build();
    ComponentsBuilder::new()
        .security_scheme(
            TOKEN,
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-Auth-Token", token))),
        )
        .security_scheme(
            TOKEN_IN_QUERY,
            SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description("auth_token", in_query))),
        )
        .security_scheme(BASIC, SecurityScheme::Http(basic))
}

/// What was answered to an operation's example; None where nothing is kept of it.
fn kept_answer(operation: &str, example: &str) -> Option<Value> {
    static KEPT: LazyLock<Map<String, Value>> =
        LazyLock::new(|| serde_json::from_str(include_str!("answers.json")).unwrap_or_default());
    KEPT.get(&format!("{operation}/{example}")).cloned()
}

#[cfg(test)]
mod tests {
    use crate::api::{Path, Resource};
    use crate::kazoo::kind::GROUPS;
    use crate::kazoo::verb::Verb;

    use super::operations::operations;

    /// A path at which a resource is documented; None where it is not ours. Whoever adds a resource adds its path here.
    fn path_of(resource: &Resource) -> Option<&'static str> {
        Some(match resource {
            Resource::Documents(_) => "/v2/accounts/{account_id}/groups",
            Resource::Document(..) => "/v2/accounts/{account_id}/groups/{group_id}",
            Resource::Rings(..) => "/v2/accounts/{account_id}/groups/{group_id}/rings",
            Resource::UsedBy(..) => "/v2/accounts/{account_id}/groups/{group_id}/used_by",
            Resource::Deleted(_) => "/v2/accounts/{account_id}/groups/_deleted",
            Resource::Restoring(..) => "/v2/accounts/{account_id}/groups/{group_id}/restore",
            Resource::UserAuth => "/v2/user_auth",
            Resource::ApiAuth => "/v2/api_auth",
            Resource::Schemas => "/v2/schemas",
            Resource::Schema(_) => "/v2/schemas/{name}",
            Resource::SchemaValidation(_) => "/v2/schemas/{name}/validation",
            Resource::About => "/v2/about",
            Resource::Account | Resource::Unknown => return None,
        })
    }

    #[test]
    fn every_path_is_documented_with_all_of_its_verbs() {
        let operations = operations();
        let resource = |path: &str| Path::parse(path).unwrap().unwrap().resource;
        let paths = operations.iter().map(|of| of.path.as_str()).filter(|path| path.starts_with("/v2/"));
        for path in paths {
            let has = |verb: &&Verb| operations.iter().any(|of| of.path == path && of.verb == **verb);
            let found: Vec<&Verb> = Verb::ALL.iter().filter(has).collect();
            let of_resource = resource(path);
            let wanted: Vec<&Verb> = Verb::ALL.iter().filter(|verb| of_resource.methods().contains(verb)).collect();
            assert_eq!(found, wanted, "{path}");
        }
        let (id, kind) = (String::new, &GROUPS);
        for wanted in [
            Resource::Documents(kind),
            Resource::Document(kind, id()),
            Resource::Rings(kind, id()),
            Resource::UsedBy(kind, id()),
            Resource::Deleted(kind),
            Resource::Restoring(kind, id()),
            Resource::UserAuth,
            Resource::ApiAuth,
            Resource::Schemas,
            Resource::Schema(id()),
            Resource::SchemaValidation(id()),
            Resource::About,
        ] {
            let path = path_of(&wanted).unwrap();
            assert!(operations.iter().any(|of| of.path == path), "{path}");
            assert_eq!(std::mem::discriminant(&resource(path)), std::mem::discriminant(&wanted), "{path}");
        }
    }
}
