//! Those on groups.

use serde_json::json;
use utoipa::openapi::path::Parameter;

use crate::api::Error;
use crate::budgets::Budget;
use crate::demo;
use crate::kazoo::kind::GROUPS;
use crate::kazoo::rings::TooLarge;
use crate::kazoo::verb::Verb;
use crate::using;

use super::super::answers::{self, Given};
use super::super::operation::{Example, Operation};
use super::super::parameters;
use super::{Forms, NO_ROWS, NOT_MODIFIED, on_account};

/// A group that is not there.
const NO_GROUP: &str = "00000000000000000000000000000000";

const LIST: Forms = &[("application/json", "GroupList"), ("text/csv", "Table"), ("text/event-stream", "Events")];
const GROUP: Forms = &[("application/json", "GroupAnswer"), ("text/csv", "Table")];
const GROUP_OF_WRITE: Forms = &[("application/json", "GroupAnswer")];
const RINGS: Forms = &[("application/json", "RingsAnswer"), ("text/csv", "Table")];
const DELETED: Forms = &[("application/json", "DeletedList"), ("text/csv", "Table")];
const USED_BY: Forms = &[("application/json", "UsedByAnswer"), ("text/csv", "Table")];

pub fn operations() -> Vec<Operation> {
    let account = format!("/v2/accounts/{{account_id}}/{}", GROUPS.noun);
    let user = format!("/v2/accounts/{{account_id}}/users/{{user_id}}/{}", GROUPS.noun);
    let one = format!("{account}/{{group_id}}");
    vec![
        list(&account),
        list_of_user(&user),
        read(&one),
        rings(&format!("{one}/rings")),
        used_by(&format!("{one}/used_by")),
        create(&account),
        create_by_user(&user),
        replace(&one),
        patch(&one),
        delete(&one),
        deleted(&format!("{account}/_deleted")),
        restore(&format!("{one}/restore")),
    ]
}

/// An operation on one of them.
fn on_group(id: &'static str, verb: Verb, path: &str) -> Operation {
    let mut operation = on_account(id, verb, path);
    operation.parameters.insert(1, parameters::group_id());
    operation.errors.extend(answers::of_documents());
    operation
}

fn writing(mut operation: Operation, body: Option<&'static str>) -> Operation {
    operation.errors.extend(answers::of_writes());
    operation.errors.extend(body.map(|_| answers::of_bodies()).unwrap_or_default());
    Operation { body, ..operation }
}

fn listing(id: &'static str, path: &str, more: Option<Parameter>) -> Operation {
    let mut operation = on_account(id, Verb::Get, path);
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
            Example::of("callflows", "And by each callflow that names it", 200).query("callflows", "true"),
            Example::of("no-strategy", "In an order that there is not", 400).query("strategy", "loud"),
        ],
        ..operation
    }
}

fn used_by(path: &str) -> Operation {
    let mut operation = on_group("readUses", Verb::Get, path);
    operation.errors.push(Error::OverBudget(Budget::Uses, using::DOCUMENTS));
    Operation {
        summary: "Tell what names a group",
        description: "Callflows, other groups, users and devices, and where in them. Kazoo has no such resource.",
        given: vec![Given::told("What names it.", USED_BY), NOT_MODIFIED],
        examples: vec![Example::of("uses", "What names a group", 200)],
        ..operation
    }
}

fn creating(id: &'static str, path: &str, more: Option<Parameter>) -> Operation {
    let mut operation = on_account(id, Verb::Put, path);
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
    operation.parameters.extend([parameters::if_match(), parameters::unless_used()]);
    operation.errors.push(Error::InUse(Box::default()));
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

fn deleted(path: &str) -> Operation {
    let mut operation = on_account("listDeletedGroups", Verb::Get, path);
    operation.errors.push(Error::OverBudget(Budget::Answer, 64_000_000));
    Operation {
        summary: "List the groups that are deleted",
        description: "Softly: each can be restored. The last deleted first, with when and by whom. Kazoo has no such resource.",
        given: vec![Given::told("The deleted groups.", DELETED), NO_ROWS, NOT_MODIFIED],
        examples: vec![Example::of("all", "All that are deleted", 200)],
        ..operation
    }
}

fn restore(path: &str) -> Operation {
    let mut operation = on_group("restoreGroup", Verb::Post, path);
    operation.parameters.push(parameters::if_match());
    Operation {
        summary: "Restore a group that is deleted",
        description: "By a new revision; all else is as it was. Kazoo has no such resource.",
        given: vec![Given::told("The group, which is there again.", GROUP_OF_WRITE)],
        examples: vec![
            Example::of("restored", "A group", 200).at("group_id", demo::OTHER_GROUP),
            Example::of("again", "The same again", 404).at("group_id", demo::OTHER_GROUP),
        ],
        ..writing(operation, None)
    }
}
