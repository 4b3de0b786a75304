//! The same as a Postman collection (v2.1): a folder for each tag, in it one for each operation, with its
//! examples, each of which tests the status of its answer.

use serde_json::{Map, Value, json};

use super::operation::TOKEN_VARIABLE;

/// Which format it is.
const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// What stands for the token in Postman.
const POSTMAN_TOKEN: &str = "{{token}}";

/// The collection of a document. `address` is where the service answers.
pub fn collection(document: &Value, address: &str) -> Value {
    let tags = document["tags"].as_array().cloned().unwrap_or_default();
    let folder = |tag: &Value| json!({ "name": tag["name"], "description": tag["description"], "item": items(document, &tag["name"]) });
    let folders: Vec<Value> = tags.iter().map(folder).collect();
    json!({
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": SCHEMA,
        },
        "variable": [
            { "key": "address", "value": address, "type": "string" },
            { "key": "token", "value": "", "type": "string" },
        ],
        "item": folders,
    })
}

/// The requests of a tag: of each operation its examples, or only that where it has one.
fn items(document: &Value, tag: &Value) -> Vec<Value> {
    let Some(paths) = document["paths"].as_object() else { return Vec::new() };
    let operations = paths.values().filter_map(Value::as_object).flat_map(Map::values);
    let of_tag = operations.filter(|operation| &operation["tags"][0] == tag);
    let item = |operation: &Value| {
        let requests = operation["x-requests"].as_array().map(Vec::as_slice).unwrap_or_default();
        let items: Vec<Value> = requests.iter().map(request).collect();
        json!({ "name": operation["summary"], "description": operation["description"], "item": items })
    };
    of_tag.map(item).collect()
}

fn request(request: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_object().into_iter().flatten();
    let headers: Vec<Value> = headers
        .map(|(name, value)| json!({ "key": name, "value": text(value).replace(TOKEN_VARIABLE, POSTMAN_TOKEN) }))
        .collect();
    let whole = text(&request["path"]);
    let (path, query) = whole.split_once('?').unwrap_or((&whole, ""));
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let query: Vec<Value> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let test = format!("pm.test('status', () => pm.response.to.have.status({}));", request["status"]);
    let mut made = json!({
        "name": request["summary"],
        "event": [{ "listen": "test", "script": { "type": "text/javascript", "exec": [test] } }],
        "request": {
            "method": request["method"],
            "header": headers,
            "url": { "raw": format!("{{{{address}}}}{whole}"), "host": ["{{address}}"], "path": path, "query": query },
        },
    });
    if let Some(body) = request.get("body") {
        let raw = format!("{body:#}");
        made["request"]["body"] = json!({ "mode": "raw", "raw": raw, "options": { "raw": { "language": "json" } } });
    }
    made
}
