//! The operations, in the order in which the tests try their examples.

use serde_json::json;
use utoipa::openapi::path::Parameter;

use crate::api::Error;
use crate::auth;
use crate::demo;
use crate::kazoo::kind::GROUPS;
use crate::kazoo::rings::TooLarge;
use crate::kazoo::schema::{API_AUTH, Schema, USER_AUTH};
use crate::kazoo::verb::Verb;

use super::answers::{self, Given};
use super::operation::{Example, Operation};
use super::parameters;

const SIGN_IN: &str = "sign-in";
const SCHEMAS: &str = "schemas";
const SERVICE: &str = "service";

/// What operations are about.
pub const TAGS: [(&str, &str); 4] = [
    (GROUPS.noun, "The groups of an account, and of a user."),
    (SIGN_IN, "A token for credentials."),
    (SCHEMAS, "What groups and sign-ins are checked by."),
    (SERVICE, "What answers, and how it is."),
];

/// A group that is not there.
const NO_GROUP: &str = "00000000000000000000000000000000";

type Forms = &'static [(&'static str, &'static str)];
const LIST: Forms = &[("application/json", "GroupList"), ("text/csv", "Table"), ("text/event-stream", "Events")];
const GROUP: Forms = &[("application/json", "GroupAnswer"), ("text/csv", "Table")];
const GROUP_OF_WRITE: Forms = &[("application/json", "GroupAnswer")];
const RINGS: Forms = &[("application/json", "RingsAnswer"), ("text/csv", "Table")];

const SIGNED_IN: Forms = &[("application/json", "SignedIn")];

/// All of them.
pub fn operations() -> Vec<Operation> {
    let account = format!("/v2/accounts/{{account_id}}/{}", GROUPS.noun);
    let user = format!("/v2/accounts/{{account_id}}/users/{{user_id}}/{}", GROUPS.noun);
    let one = format!("{account}/{{group_id}}");
    let mut all = vec![
        list(&account),
        list_of_user(&user),
        read(&one),
        rings(&format!("{one}/rings")),
        create(&account),
        create_by_user(&user),
        replace(&one),
        patch(&one),
        delete(&one),
        sign_in_user(),
        sign_in_program(),
    ];
    all.extend(of_schemas());
    all.extend(of_service());
    all
}

/// An operation on groups of an account.
fn on_groups(id: &'static str, verb: Verb, path: &str) -> Operation {
    let mut errors = answers::of_every_request();
    errors.extend(answers::of_accounts());
    let mut parameters = vec![parameters::account_id()];
    parameters.extend(parameters::of_every_answer());
    if verb == Verb::Get {
        parameters.extend(parameters::of_reading());
    }
    Operation {
        id,
        verb,
        path: path.to_owned(),
        tag: GROUPS.noun,
        summary: "",
        description: "",
        parameters,
        body: None,
        needs_token: true,
        given: Vec::new(),
        errors,
        examples: Vec::new(),
    }
}

/// An operation on one of them.
fn on_group(id: &'static str, verb: Verb, path: &str) -> Operation {
    let mut operation = on_groups(id, verb, path);
    operation.parameters.insert(1, parameters::group_id());
    operation.errors.extend(answers::of_documents());
    operation
}

fn writing(mut operation: Operation, body: Option<&'static str>) -> Operation {
    operation.errors.extend(answers::of_writes());
    operation.errors.extend(body.map(|_| answers::of_bodies()).unwrap_or_default());
    Operation { body, ..operation }
}

const NOT_MODIFIED: Given = Given::nothing(304, "It is what the client has.");
const NO_ROWS: Given = Given::nothing(204, "A table without rows.");

fn listing(id: &'static str, path: &str, more: Option<Parameter>) -> Operation {
    let mut operation = on_groups(id, Verb::Get, path);
    operation.parameters.splice(1..1, more);
    operation.parameters.extend(parameters::of_lists());
    operation.parameters.extend(parameters::of_events());
    operation.errors.extend(answers::of_lists());
    operation.given = vec![Given::shown("The groups, the newest id first.", LIST), NO_ROWS, NOT_MODIFIED];
    operation
}

fn list(path: &str) -> Operation {
    Operation {
        summary: "List groups",
        description: "In pages, whole (`paginate=false`), as a table (`Accept: text/csv`), or as events \
            (`Accept: text/event-stream`): what is listed, and then each change as it happens.",
        examples: vec![
            Example::of("all", "All groups", 200),
            Example::of("page", "Two at a time", 200).query("page_size", "2"),
            Example::of("flag", "Those with a flag", 200).query("filter_flags", "crm"),
            Example::of("table", "Those with flags, as a table", 200)
                .header("Accept", "text/csv")
                .query("has_key", "flags"),
            Example::of("events", "What happens, as it happens", 200).header("Accept", "text/event-stream"),
            Example::of("pretty", "Indented", 200).query("pretty_print", "true").query("page_size", "1"),
            Example::of("no-token", "Without a token", 401).without_token(),
            Example::of("no-account", "Of an account that is not there", 404).at("account_id", NO_GROUP),
            Example::of("above", "Of the account above", 403).at("account_id", demo::MASTER_ACCOUNT),
            Example::of("picture", "As a picture", 406).header("Accept", "image/png"),
            Example::of("callback", "Wrapped in what is no function", 400).query("jsonp", "a b"),
        ],
        ..listing("listGroups", path, None)
    }
}

fn list_of_user(path: &str) -> Operation {
    Operation {
        summary: "List a user's groups",
        description: "Those that have the user among their endpoints.",
        examples: vec![
            Example::of("all", "All groups of a user", 200),
            Example::of("page", "One at a time", 200).query("page_size", "1"),
        ],
        ..listing("listGroupsOfUser", path, Some(parameters::user_id()))
    }
}

fn read(path: &str) -> Operation {
    Operation {
        summary: "Read a group",
        given: vec![Given::shown("The group.", GROUP), NOT_MODIFIED],
        examples: vec![
            Example::of("one", "A group", 200),
            Example::of("unknown", "One that is not there", 404).at("group_id", NO_GROUP),
            Example::of("known", "One that the client has", 304).header("If-None-Match", "*"),
        ],
        ..on_group("readGroup", Verb::Get, path)
    }
}

fn rings(path: &str) -> Operation {
    let mut operation = on_group("readRings", Verb::Get, path);
    operation.parameters.extend(parameters::of_rings());
    operation.errors.push(TooLarge.into());
    Operation {
        summary: "Tell whom a group rings",
        description: "In which order, who is left out and why, and where Kazoo 4.3 itself would ring nobody, loop or crash. Kazoo has \
            no such resource.",
        given: vec![Given::told("Whom it rings.", RINGS), NOT_MODIFIED],
        examples: vec![
            Example::of("at-once", "All at once", 200),
            Example::of("in-turn", "One after the other", 200).query("strategy", "single"),
            Example::of("no-strategy", "In an order that there is not", 400).query("strategy", "loud"),
        ],
        ..operation
    }
}

fn creating(id: &'static str, path: &str, more: Option<Parameter>) -> Operation {
    let mut operation = on_groups(id, Verb::Put, path);
    operation.parameters.splice(1..1, more);
    operation.parameters.push(parameters::if_match_of_new());
    let given = vec![Given::created("The group as it was created.", GROUP_OF_WRITE)];
    Operation { given, ..writing(operation, Some("GroupRequest")) }
}

fn create(path: &str) -> Operation {
    let group = json!({ "name": "Front desk", "endpoints": { demo::USER: { "type": "user", "weight": 1 } } });
    Operation {
        summary: "Create a group",
        description: "Its id is made up, unless the data have one (`id`).",
        examples: vec![
            Example::of("created", "A group with a user", 201).body(json!({ "data": group })),
            Example::of("no-name", "One without a name", 400).body(json!({ "data": { "endpoints": {} } })),
            Example::of("no-data", "Without data", 400).body(json!({})),
        ],
        ..creating("createGroup", path, None)
    }
}

fn create_by_user(path: &str) -> Operation {
    Operation {
        summary: "Create a group by a user's path",
        description: "The group belongs to the account; the user is among its endpoints only if the data say so.",
        examples: vec![
            Example::of("created", "A group", 201).body(json!({ "data": { "name": "Back office", "endpoints": {} } })),
        ],
        ..creating("createGroupByUser", path, Some(parameters::user_id()))
    }
}

fn replace(path: &str) -> Operation {
    let mut operation = on_group("replaceGroup", Verb::Post, path);
    operation.parameters.push(parameters::if_match());
    let group = json!({ "name": "Night shift", "endpoints": {}, "flags": ["night"] });
    Operation {
        summary: "Replace a group",
        description: "All fields that clients may set become those of the data.",
        given: vec![Given::told("The group as it was written.", GROUP_OF_WRITE)],
        examples: vec![
            Example::of("replaced", "Other fields", 200)
                .at("group_id", demo::OTHER_GROUP)
                .body(json!({ "data": group })),
            Example::of("stale", "Of a revision that is no longer the last", 412)
                .at("group_id", demo::OTHER_GROUP)
                .header("If-Match", "\"1-0\"")
                .body(json!({ "data": { "name": "Night shift", "endpoints": {} } })),
        ],
        ..writing(operation, Some("GroupRequest"))
    }
}

fn patch(path: &str) -> Operation {
    let mut operation = on_group("patchGroup", Verb::Patch, path);
    operation.parameters.push(parameters::if_match());
    Operation {
        summary: "Change a group",
        description: "Objects are merged, an empty one and anything else replaces, `null` removes a key. Without `If-Match` it is done on \
            top of what others wrote meanwhile.",
        given: vec![Given::told("The group as it was written.", GROUP_OF_WRITE)],
        examples: vec![
            Example::of("flags", "Other flags", 200).body(json!({ "data": { "flags": ["vip"] } })),
            Example::of("no-text", "A name that is a number", 400).body(json!({ "data": { "name": 5 } })),
        ],
        ..writing(operation, Some("GroupChanges"))
    }
}

fn delete(path: &str) -> Operation {
    let mut operation = on_group("deleteGroup", Verb::Delete, path);
    operation.parameters.push(parameters::if_match());
    Operation {
        summary: "Delete a group",
        description: "Softly, as Kazoo does: the document stays in the store, and is found by nobody.",
        given: vec![Given::told("The group as it was.", GROUP_OF_WRITE)],
        examples: vec![
            Example::of("deleted", "A group", 200).at("group_id", demo::OTHER_GROUP),
            Example::of("again", "The same again", 404).at("group_id", demo::OTHER_GROUP),
        ],
        ..writing(operation, None)
    }
}

/// An operation for which it need not be known who asks.
fn open(id: &'static str, verb: Verb, path: &str, tag: &'static str) -> Operation {
    let mut operation = on_groups(id, verb, path);
    operation.parameters.remove(0);
    let mut errors = answers::of_every_request();
    errors.push(Error::Auth(auth::Error::Restricted));
    Operation { tag, needs_token: false, errors, ..operation }
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
    let mut about = on_groups("readAbout", Verb::Get, "/v2/about");
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
