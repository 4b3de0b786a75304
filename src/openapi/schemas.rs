//! The JSON schemas of what is sent and answered. Those of groups and of sign-ins are what data are checked by.

use serde_json::{Map, Value, json};

use crate::document::json as raw;
use crate::kazoo::kind::GROUPS;
use crate::kazoo::schema::{API_AUTH, Schema, USER_AUTH};

/// All of them, by their names.
pub fn all() -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, schema: Value| drop(all.insert(name.to_owned(), schema));
    add("Envelope", envelope());
    add("Request", request("What is checked.", json!({ "type": "object" })));
    add("Group", ours(GROUPS.schema));
    add("GroupFields", changes(ours(GROUPS.schema)));
    add("GroupRequest", request("A group's fields.", reference("Group")));
    add("GroupChanges", request("What is to become of a group's fields.", reference("GroupFields")));
    add("GroupShown", group_shown());
    add("GroupAnswer", answer(reference("GroupShown")));
    add("GroupRow", group_row());
    add("GroupList", answer(json!({ "type": "array", "items": reference("GroupRow") })));
    add("Rings", rings());
    add("RingsAnswer", answer(reference("Rings")));
    add("InCallflow", in_callflow());
    add("Naming", naming());
    add("UsedByAnswer", answer(used_by()));
    add("DeletedList", answer(json!({ "type": "array", "items": reference("DeletedGroup") })));
    add("DeletedGroup", deleted());
    add("UserCredentials", request("A user's credentials.", ours(USER_AUTH)));
    add("ApiKey", request("An API key.", ours(API_AUTH)));
    add("SignedIn", signed_in());
    add("SchemaList", answer(json!({ "type": "array", "items": { "type": "string" } })));
    add(
        "SchemaAnswer",
        answer(json!({ "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] })),
    );
    add("AboutAnswer", answer(texts(&["product", "version"])));
    add("Answer", answer(json!({ "type": ["object", "array"] })));
    add("Error", error());
    add("Event", event());
    add(
        "Events",
        json!({
            "type": "string",
            "description": "Server-sent events: `listed` for each row, then `live`, then `created`, `edited` and `deleted` as it happens, and \
                `end` with a reason. The data of each but `live` and `end` are an Event; a comment comes after 15 s without any.",
        }),
    );
    add(
        "Table",
        json!({ "type": "string", "description": "CSV: a row for each group, its columns those of all of them." }),
    );
    add("Metrics", json!({ "type": "string", "description": "Prometheus' text format." }));
    add(
        "Health",
        json!({
            "type": "object",
            "properties": { "status": { "enum": ["alive", "ready", "not ready"] }, "reason": { "type": "string" } },
            "required": ["status"],
        }),
    );
    all
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A schema of this service, without what says which one it is.
fn ours(name: &str) -> Value {
    let schema = Schema::ours(name).map(|schema| raw::tree(&schema.document().0.to_raw()).unwrap_or_default());
    let mut schema = schema.unwrap_or_default();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
        fields.remove("id");
    }
    // what has a default need not be sent
    let has_default = |schema: &Value, name: &Value| {
        name.as_str().is_some_and(|name| !schema["properties"][name]["default"].is_null())
    };
    if let Some(required) = schema["required"].as_array() {
        let required: Vec<Value> = required.iter().filter(|name| !has_default(&schema, name)).cloned().collect();
        schema["required"] = Value::Array(required);
    }
    schema
}

/// The schema of what may become of data of a schema: any of their fields, and null for one that may be left out.
fn changes(mut schema: Value) -> Value {
    let required = schema.as_object_mut().and_then(|schema| schema.remove("required")).unwrap_or_default();
    let is_required = |name: &String| required.as_array().is_some_and(|all| all.iter().any(|of| of == name.as_str()));
    for (name, field) in schema["properties"].as_object_mut().into_iter().flatten() {
        if field["properties"].is_object() {
            *field = changes(field.take());
        }
        if !is_required(name) && field["type"].is_string() {
            field["type"] = json!([field["type"], "null"]);
        }
    }
    schema
}

/// An object that has all of these texts.
fn texts(names: &[&str]) -> Value {
    let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "properties": properties, "required": names })
}

/// A body with data in it.
fn request(description: &str, data: Value) -> Value {
    json!({ "type": "object", "description": description, "properties": { "data": data }, "required": ["data"] })
}

/// An envelope with data in it.
fn answer(data: Value) -> Value {
    json!({ "allOf": [reference("Envelope"), { "type": "object", "properties": { "data": data } }] })
}

fn envelope() -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": {},
            "status": { "const": "success" },
            "revision": { "type": "string", "description": "The revision of the document, or a digest of the list." },
            "page_size": { "type": "integer", "description": "How many rows the page has." },
            "start_key": { "type": "string", "description": "Where the page begins." },
            "next_start_key": { "type": "string", "description": "Where the next one begins, if there is one." },
            "timestamp": { "type": "string", "format": "date-time" },
            "version": { "type": "string", "description": "The Kazoo whose answers these are." },
            "node": { "type": "string", "description": "The process that answered." },
            "request_id": { "type": "string" },
            "auth_token": { "type": "string", "description": "The token of the request, or of the sign-in." },
        },
        "required": ["data", "status", "timestamp", "version", "node", "request_id"],
    })
}

fn group_shown() -> Value {
    json!({
        "type": "object",
        "description": "A group as it is in the store, without private fields. What was written long ago need not be what the schema \
            of groups asks for today.",
        "properties": { "id": { "type": "string" } },
        "required": ["id"],
    })
}

fn group_row() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "name": { "description": "The group's name, if it has one." },
            "features": { "type": "array", "items": { "type": "string" } },
            "endpoints": { "type": "integer", "description": "How many endpoints it has." },
            "flags": { "description": "The group's flags." },
        },
        "required": ["id", "features", "endpoints", "flags"],
    })
}

fn rings() -> Value {
    let name = json!({ "type": ["string", "null"], "description": "The name of the device or user, if it has one." });
    let user = json!({ "type": ["string", "null"], "description": "Whose the device is." });
    json!({
        "type": "object",
        "properties": {
            "rings": { "type": "array", "description": "What rings, in order.", "items": {
                "type": "object",
                "properties": {
                    "id": { "type": "string", "description": "The device." },
                    "name": name,
                    "user": user,
                    "user_name": name,
                    "delay": { "type": "integer", "description": "After how many seconds it rings." },
                    "timeout": {
                        "type": ["integer", "null"],
                        "description": "For how many seconds it rings; null: as long as the others.",
                    },
                },
                "required": ["id", "name", "user", "user_name", "delay", "timeout"],
            } },
            "dropped": { "type": "array", "description": "What is left out.", "items": {
                "type": "object",
                "properties": {
                    "id": { "type": "string", "description": "The member, or a device of one; `*` for all." },
                    "name": name,
                    "why": { "type": "string" },
                },
                "required": ["id", "name", "why"],
            } },
            "failure": {
                "enum": [null, "crash", "endless", "nobody"],
                "description": "What Kazoo itself would make of the whole.",
            },
            "callflows": {
                "type": "array",
                "description": "The elements of callflows that name the group, where that was asked.",
                "items": reference("InCallflow"),
            },
        },
        "required": ["rings", "dropped", "failure"],
    })
}

fn in_callflow() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "description": "The callflow." },
            "name": { "type": ["string", "null"] },
            "numbers": { "type": "array", "items": { "type": "string" } },
            "patterns": { "type": "array", "items": { "type": "string" } },
            "module": { "type": ["string", "null"], "description": "The element's module." },
            "children": {
                "type": "array",
                "description": "By which children the flow comes to it.",
                "items": { "type": "string" },
            },
            "rings": { "anyOf": [reference("Rings"), { "type": "null" }], "description": "Whom it rings; null: it rings nobody by itself." },
        },
        "required": ["id", "name", "numbers", "patterns", "module", "children", "rings"],
    })
}

/// A document that names a group.
fn naming() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "name": { "type": ["string", "null"] },
            "numbers": { "type": "array", "description": "A callflow's.", "items": { "type": "string" } },
            "patterns": { "type": "array", "description": "A callflow's.", "items": { "type": "string" } },
            "places": { "type": "array", "description": "Where; the first hundred.", "items": {
                "type": "object",
                "properties": {
                    "pointer": { "type": "string", "format": "json-pointer" },
                    "module": { "type": ["string", "null"] },
                    "children": { "type": "array", "items": { "type": "string" } },
                },
                "required": ["pointer"],
            } },
        },
        "required": ["id", "name", "places"],
    })
}

fn used_by() -> Value {
    let kinds = ["callflows", "groups", "users", "devices"];
    let of_kind = |kind: &&str| ((*kind).to_owned(), json!({ "type": "array", "items": reference("Naming") }));
    let properties: Map<String, Value> = kinds.iter().map(of_kind).collect();
    json!({ "type": "object", "properties": properties, "required": kinds })
}

fn deleted() -> Value {
    let text = |description: &str| json!({ "type": ["string", "null"], "description": description });
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string" },
            "name": text("The group's name, if it has one."),
            "endpoints": { "type": "integer", "description": "How many endpoints it has." },
            "deleted": text("When it was deleted, if its document tells."),
            "by": {
                "type": "object",
                "description": "Whose token it was: nothing of one who is of another account than the group's and the token's.",
                "properties": {
                    "account": text("The token's account."),
                    "user": text("Its user; null if it spoke for the account itself."),
                    "name": text("The user's name, if the user is still there."),
                },
                "required": ["account", "user", "name"],
            },
        },
        "required": ["id", "name", "endpoints", "deleted", "by"],
    })
}

fn signed_in() -> Value {
    let mut signed_in = answer(json!({
        "type": "object",
        "properties": {
            "account_id": { "type": "string" },
            "account_name": { "type": "string" },
            "owner_id": { "type": "string", "description": "The user." },
            "is_master_account": { "type": "boolean" },
            "language": { "type": "string" },
        },
        "required": ["account_id"],
    }));
    signed_in["required"] = json!(["auth_token"]);
    signed_in
}

fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "data": {
                "type": ["object", "array", "string"],
                "description": "`message`, and `cause` where there is one; or what is wrong with the data, by property (a path with dots) and \
                    by rule: `{\"name\": {\"required\": {\"message\": …}}}`; in /v1 the message alone.",
            },
            "error": { "type": "string", "description": "The status." },
            "message": { "type": "string", "description": "What is wrong, in a word or two." },
            "status": { "const": "error" },
            "timestamp": { "type": "string", "format": "date-time" },
            "version": { "type": "string" },
            "node": { "type": "string" },
            "request_id": { "type": "string" },
            "auth_token": { "type": "string", "description": "The token of the request; `undefined` if it had none." },
        },
        "required": ["data", "error", "message", "status", "timestamp", "version", "node", "request_id", "auth_token"],
    })
}

fn event() -> Value {
    json!({
        "type": "object",
        "properties": {
            "row": { "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] },
            "revision": { "type": "string", "description": "The document's, where something happened to it." },
        },
        "required": ["row"],
    })
}
