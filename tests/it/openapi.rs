//! What `/openapi.json` says is so: each request that it names is sent, and what comes back is what it says would.
//!
//! With `UPDATE_SNAPSHOTS=1` the answers are written into the document, and the document into its snapshot.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use uuid::Uuid;
use valico::json_schema::{SchemaVersion, Scope};

use crate::common::program::run;
use crate::common::{Kind, TestApp, TestStore, block_on, client, import, recording, seed_files};
use crossbar_groups::auth::Auth;
use crossbar_groups::document::DocId;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::metrics::Metrics;
use crossbar_groups::world::World;

/// What is another in every answer, and what is kept in its place.
const VOLATILE: [(&str, &str); 5] = [
    ("timestamp", "2026-11-27T12:00:00Z"),
    ("node", "TVgxw95v62mmsVCUZ1MGXA"),
    ("request_id", "61188386cc9641d4b78721008ae75d87"),
    ("auth_token", "eyJ0eXAiOiJKV1QiLCJhbGciOi…"),
    ("revision", "1-967a00dff5e02add41819138abb3284d"),
];
const MADE_UP_ID: &str = "d2f1c0d7ce0a94d6b9f6d0a4bb9c7c9f";

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_SNAPSHOTS").is_some()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn document() -> Value {
    serde_json::from_str(&printed(&["openapi"])).unwrap()
}

#[test]
fn a_change_of_the_document_is_seen() {
    let (printed, snapshot) = (printed(&["openapi"]), source("tests/openapi.json"));
    if is_updating() {
        fs::write(&snapshot, &printed).unwrap();
    }
    assert!(
        fs::read_to_string(&snapshot).unwrap() == printed,
        "not {}: UPDATE_SNAPSHOTS=1 writes it",
        snapshot.display()
    );
}

/// The operations of a document: each path, verb and operation.
fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |(verb, of)| (path, verb, of))).collect()
}

#[test]
fn every_operation_has_what_tools_need() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, verb, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        ids.push(id);
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{id}");
        assert!(!operation["x-requests"].as_array().unwrap().is_empty(), "{id}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|of| of["in"] == "path").map(|of| of["name"].as_str().unwrap());
        let in_path: Vec<&str> = in_path.collect();
        let wanted: Vec<&str> = path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
        assert_eq!(in_path, wanted, "{verb} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{id} {status}");
        }
    }
    let unique: std::collections::HashSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    // what is referred to is there
    for reference in document.to_string().split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn a_postman_collection_has_the_same_requests() {
    let collection: Value = serde_json::from_str(&printed(&["openapi", "--postman", "--address", "http://x"])).unwrap();
    assert_eq!(collection["variable"][0], json!({"key": "address", "value": "http://x", "type": "string"}));
    let of = |item: &Value| item["item"].as_array().unwrap().clone();
    let requests = of(&collection).iter().flat_map(of).collect::<Vec<_>>();
    let requests: Vec<Value> = requests.iter().flat_map(of).collect();
    let document = document();
    let documented: usize =
        operations(&document).iter().map(|(_, _, of)| of["x-requests"].as_array().unwrap().len()).sum();
    assert_eq!(requests.len(), documented);
    for request in &requests {
        let raw = request["request"]["url"]["raw"].as_str().unwrap();
        assert!(raw.starts_with("{{address}}/"), "{raw}");
        assert!(!request.to_string().contains("$TOKEN"), "{request}");
    }
}

/// The demo's accounts under ids of one test's own, since those of the seed are others' in a CouchDB.
struct Accounts {
    /// What stands for what.
    names: Vec<(String, String)>,
    token: String,
}

impl Accounts {
    fn new(test: &TestStore) -> Self {
        let seeded = recording::variables();
        let mut names = Vec::new();
        let mut replace = |from: &str, to: String| names.push((from.to_owned(), to));
        let mut id = String::new();
        for account in ["A", "B", "C"] {
            let (from, to) = (&seeded[account], Uuid::new_v4().simple().to_string());
            for slash in ["/", "%2F"] {
                let name = |id: &str| [&id[..2], &id[2..4], &id[4..]].join(slash);
                replace(&name(from), name(&to));
            }
            if account == "B" {
                id.clone_from(&to);
            }
            replace(from, to);
        }
        let unique = Uuid::new_v4().simple().to_string();
        // an account is found by the letters and digits of its name
        replace(&seeded["NAME_B"], format!("birchdental{unique}"));
        replace("Birch Dental", format!("Birch Dental {unique}"));
        replace(&seeded["REALM_B"], format!("{unique}.example.com"));
        replace(&seeded["APIKEY_B"], format!("{unique}{unique}"));
        let folder = tempfile::tempdir().unwrap();
        let ids: Vec<String> = ["A", "B", "C"].iter().map(|account| seeded[*account].clone()).collect();
        let mut files = Vec::new();
        for file in seed_files() {
            let mut dump: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            let database = dump["db"].as_str().unwrap().replace('/', "");
            if database == "accounts" {
                let is_ours = |of: &Value| ids.iter().any(|id| of["_id"] == id.as_str());
                dump["docs"].as_array_mut().unwrap().retain(is_ours);
            } else if !ids.iter().any(|id| database.ends_with(id)) {
                continue;
            }
            files.push(folder.path().join(file.file_name().unwrap()));
            fs::write(files.last().unwrap(), replaced(&dump.to_string(), &names, false)).unwrap();
        }
        let (account, user): (AccountId, DocId) = (id.parse().unwrap(), seeded["UB"].parse().unwrap());
        let store = test.store();
        let token = block_on(async {
            import(store.as_ref(), files).await;
            let auth = Auth::new(store, Metrics::new(SystemTime::now()), Duration::from_secs(1), World::real());
            auth.issue(account, Some(&user), "test", 3600).await.unwrap()
        });
        Self { names, token }
    }
}

/// A text with one set of names in the place of the other, or back.
fn replaced(text: &str, names: &[(String, String)], back: bool) -> String {
    names.iter().fold(text.to_owned(), |text, (from, to)| {
        if back { text.replace(to.as_str(), from) } else { text.replace(from.as_str(), to) }
    })
}

/// Says why a value is not what a schema of the document asks for.
fn must_fit(document: &Value, schema: &Value, value: &Value, what: &str) {
    let whole = json!({ "allOf": [schema], "definitions": document["components"]["schemas"] });
    let whole = whole.to_string().replace("#/components/schemas/", "#/definitions/");
    let mut scope = Scope::new().set_version(SchemaVersion::Draft7);
    let schema = scope.compile_and_return(serde_json::from_str(&whole).unwrap(), false).unwrap();
    let state = schema.validate(value);
    assert!(state.is_strictly_valid(), "{what}: {:?}\n{value:#}", state.errors);
}

/// An answer as it is kept, without what is another every time.
fn kept(mut answer: Value, names: &[(String, String)], is_created: bool) -> Value {
    for (key, value) in VOLATILE {
        if answer.get(key).is_some_and(|of| *of != "undefined" && *of != "automatic") {
            answer[key] = json!(value);
        }
    }
    let rows = answer.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten();
    for when in rows.filter_map(|row| row.get_mut("deleted")) {
        *when = json!(VOLATILE[0].1);
    }
    if is_created && answer["data"].get("id").is_some() {
        answer["data"]["id"] = json!(MADE_UP_ID);
    }
    serde_json::from_str(&replaced(&answer.to_string(), names, true)).unwrap()
}

/// What a list tells up to the end of its rows.
fn events(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let mut stream = TcpStream::connect(app.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        let is_last = line == "event: live";
        lines.push(line);
        if is_last {
            break;
        }
    }
    lines
}

#[test]
fn each_example_is_answered_as_the_document_says() {
    let document = document();
    let mut answers = BTreeMap::new();
    for kind in Kind::all() {
        let store = TestStore::new(kind);
        let accounts = Accounts::new(&store);
        let app = TestApp::unlimited(store.store());
        // what is written changes what is read
        let mut all = operations(&document);
        let order = ["get", "put", "post", "patch", "delete"];
        let of_deleted = ["listDeletedGroups", "restoreGroup"];
        all.sort_by_key(|(_, verb, operation)| {
            let after_all = of_deleted.iter().position(|of| operation["operationId"] == *of);
            (after_all, order.iter().position(|of| of == verb))
        });
        for (_, _, operation) in all {
            for request in operation["x-requests"].as_array().unwrap() {
                let name =
                    format!("{}/{}", operation["operationId"].as_str().unwrap(), request["name"].as_str().unwrap());
                if let Some(answer) = replay(&app, &accounts, &document, operation, request, &name) {
                    answers.insert(name, answer);
                }
            }
        }
        let file = source("src/openapi/answers.json");
        if is_updating() {
            fs::write(&file, format!("{:#}\n", json!(answers))).unwrap();
        }
        let before: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let names: Vec<&String> = before.keys().collect();
        assert_eq!(names, answers.keys().collect::<Vec<_>>(), "UPDATE_SNAPSHOTS=1 writes them");
        for (name, answer) in &answers {
            assert_eq!(answer, &before[name], "{name} on {:?}: UPDATE_SNAPSHOTS=1 writes it", store.kind);
        }
    }
}

/// Sends a request; gives what is to be kept of its answer.
fn replay(
    app: &TestApp,
    accounts: &Accounts,
    document: &Value,
    operation: &Value,
    request: &Value,
    name: &str,
) -> Option<Value> {
    let sent = replaced(&request.to_string(), &accounts.names, false).replace("$TOKEN", &accounts.token);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    let headers = sent["headers"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value)));
    let headers: Vec<(String, String)> = headers.collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let status = request["status"].as_u64().unwrap();
    let documented = &operation["responses"][status.to_string()];
    assert!(documented.is_object(), "{name}: {status} is not among the answers");
    if headers.contains(&("Accept", "text/event-stream")) {
        let told = events(app, &text(&sent["path"]), &headers);
        assert!(
            told[0].contains("200") && told.iter().any(|line| line == "content-type: text/event-stream"),
            "{told:?}"
        );
        let data: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert!(!data.is_empty(), "{told:?}");
        let event = json!({ "$ref": "#/components/schemas/Event" });
        data.iter().for_each(|data| must_fit(document, &event, &recording::json(data), name));
        return None;
    }
    let body = sent.get("body").map(Value::to_string);
    let body = body.as_deref().map(str::as_bytes);
    let answer = client::send(app.address, &text(&sent["method"]), &text(&sent["path"]), &headers, body).unwrap();
    assert_eq!(u64::from(answer.status), status, "{name}: {}", answer.text());
    for header in documented["headers"].as_object().into_iter().flatten() {
        let is_sometimes = header.0 == "Retry-After";
        assert!(is_sometimes || answer.header(&header.0.to_lowercase()).is_some(), "{name}: {}", header.0);
    }
    let Some(forms) = documented["content"].as_object() else {
        assert!(answer.body.is_empty(), "{name}: {}", answer.text());
        return None;
    };
    let media_type = answer.header("content-type").unwrap().split(';').next().unwrap();
    let form = forms.get(media_type).unwrap_or_else(|| panic!("{name}: {media_type}"));
    let value = if media_type == "application/json" { answer.json() } else { json!(answer.text()) };
    must_fit(document, &form["schema"], &value, name);
    for example in form["examples"].as_object().into_iter().flatten() {
        let place = example.1["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
        let example = place.map_or(example.1, |place| document.pointer(place).unwrap());
        must_fit(document, &form["schema"], &example["value"], name);
    }
    let is_kept = status < 300 && operation["operationId"] != "readMetrics" && operation["operationId"] != "readAbout";
    is_kept.then(|| kept(value, &accounts.names, status == 201))
}
