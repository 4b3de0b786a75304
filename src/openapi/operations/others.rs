//! Those by which one signs in, on schemas, and of the service itself.

use serde_json::json;

use crate::api::Error;
use crate::auth;
use crate::demo;
use crate::kazoo::schema::{API_AUTH, Schema, USER_AUTH};
use crate::kazoo::verb::Verb;

use super::super::answers::{self, Given};
use super::super::operation::{Example, Operation};
use super::super::parameters;
use super::{Forms, NO_ROWS, NOT_MODIFIED, SCHEMAS, SERVICE, SIGN_IN, on_account, open};

const SIGNED_IN: Forms = &[("application/json", "SignedIn")];

pub fn operations() -> Vec<Operation> {
    let sign_ins = [sign_in_user(), sign_in_program()];
    sign_ins.into_iter().chain(of_schemas()).chain(of_service()).collect()
}

fn signing_in(id: &'static str, path: &str, schema: &'static str) -> Operation {
    let mut operation = open(id, Verb::Put, path, SIGN_IN);
    operation.errors.extend(answers::of_bodies());
    operation.errors.extend(answers::of_sign_ins());
    let given = vec![Given::created("The token (`auth_token`), and whose it is.", SIGNED_IN)];
    Operation { body: Some(schema), given, ..operation }
}

fn sign_in_user() -> Operation {
    let (credentials, account_name) = (demo::credentials(), demo::ACCOUNT_NAME);
    let wrong = json!({ "credentials": "0".repeat(32), "account_name": account_name });
    Operation {
        summary: "Sign in as a user",
        description: "By the md5 or sha1 of `user:password`, in hex digits; the account is named by `account_name`, `account_realm` or \
            `realm`.",
        examples: vec![
            Example::of("user", "The demo's administrator", 201)
                .body(json!({ "data": { "credentials": credentials, "account_name": account_name } })),
            Example::of("wrong", "A password that is nobody's", 401).body(json!({ "data": wrong })),
        ],
        ..signing_in("signInUser", &format!("/v2/{USER_AUTH}"), "UserCredentials")
    }
}

fn sign_in_program() -> Operation {
    let mut operation = signing_in("signInProgram", &format!("/v2/{API_AUTH}"), "ApiKey");
    operation.errors.push(Error::Auth(auth::Error::UnknownApiKey("0".repeat(64))));
    Operation {
        summary: "Sign in by an API key",
        examples: vec![
            Example::of("key", "The demo's key", 201).body(json!({ "data": { "api_key": demo::API_KEY } })),
            Example::of("wrong", "A key that is nobody's", 404).body(json!({ "data": { "api_key": "0".repeat(64) } })),
            Example::of("short", "What is no key", 400).body(json!({ "data": { "api_key": "short" } })),
        ],
        ..operation
    }
}

fn of_schemas() -> [Operation; 3] {
    const NAMES: Forms = &[("application/json", "SchemaList"), ("text/csv", "Table")];
    const ONE: Forms = &[("application/json", "SchemaAnswer"), ("text/csv", "Table")];
    const VALID: Forms = &[("application/json", "Answer")];
    let names: Vec<&str> = Schema::names().collect();
    let mut list = open("listSchemas", Verb::Get, "/v2/schemas", SCHEMAS);
    list.summary = "List schemas";
    list.given = vec![Given::told("Their names.", NAMES), NO_ROWS, NOT_MODIFIED];
    list.examples = vec![Example::of("all", "All schemas", 200)];
    let mut read = open("readSchema", Verb::Get, "/v2/schemas/{name}", SCHEMAS);
    read.summary = "Read a schema";
    read.parameters.insert(0, parameters::schema_name(&names));
    read.given = vec![Given::shown("The JSON schema.", ONE), NOT_MODIFIED];
    read.errors.extend(answers::of_documents());
    read.examples = vec![
        Example::of("groups", "That of groups", 200),
        Example::of("unknown", "One that is not there", 404).at("name", "frobs"),
    ];
    let mut check = open("checkData", Verb::Put, "/v2/schemas/{name}/validation", SCHEMAS);
    check.summary = "Check data by a schema";
    check.description = "Nothing is written.";
    check.body = Some("Request");
    check.parameters.insert(0, parameters::schema_name(&names));
    check.given = vec![Given { headers: &[], ..Given::created("The data, with defaults.", VALID) }];
    check.errors.extend(answers::of_bodies());
    check.errors.extend(answers::of_documents());
    check.examples = vec![
        Example::of("valid", "A group", 201).body(json!({ "data": { "name": "Front desk", "endpoints": {} } })),
        Example::of("invalid", "A group without a name", 400).body(json!({ "data": { "name": "", "endpoints": {} } })),
    ];
    [list, read, check]
}

fn of_service() -> [Operation; 4] {
    const ABOUT: Forms = &[("application/json", "AboutAnswer"), ("text/csv", "Table")];
    const HEALTH: Forms = &[("application/json", "Health")];
    const METRICS: Forms = &[("text/plain", "Metrics")];
    let mut about = on_account("readAbout", Verb::Get, "/v2/about");
    about.parameters.remove(0);
    about.tag = SERVICE;
    about.summary = "Tell what answers";
    about.given = vec![Given::told("The product and its version.", ABOUT), NOT_MODIFIED];
    about.examples = vec![Example::of("about", "What answers", 200)];
    let admin = |id, path: &str, summary, given| Operation {
        summary,
        description: "At the address of `--admin-listen`, if there is one.",
        parameters: Vec::new(),
        errors: Vec::new(),
        given,
        examples: vec![Example::of("now", "As it is now", 200)],
        ..open(id, Verb::Get, path, SERVICE)
    };
    let unwell = Given { status: 503, ..Given::told("No write would succeed now; the reason is told.", HEALTH) };
    [
        about,
        admin("readHealth", "/healthz", "Tell whether the process lives", vec![Given::told("It does.", HEALTH)]),
        admin("readReadiness", "/readyz", "Tell whether it can serve", vec![Given::told("It can.", HEALTH), unwell]),
        admin("readMetrics", "/metrics", "Tell what was counted", vec![Given::told("For Prometheus.", METRICS)]),
    ]
}
