//! The recorded exchanges of a real Kazoo 4.3, and how an answer is held against them. The placeholders are those of
//! the recordings: `<id:G>`, `<rev>`, `<time>`, …

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::client::{self, Response};
use super::fixtures;

/// A scenario: requests, and what the answers and the store must be.
pub struct Scenario {
    pub name: String,
    steps: Vec<Value>,
}

/// What a scenario captured on its way, by name.
type Captured = HashMap<String, String>;

/// What the store must hold in the end: database, id, the document, and what its placeholders stand for.
pub struct Stored {
    pub database: String,
    pub id: String,
    document: Value,
    captured: Captured,
    step: String,
}

/// All recorded scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let files = fs::read_dir(fixtures().join("exchanges")).unwrap();
    let mut scenarios: Vec<Scenario> = files
        .map(|entry| {
            let mut recorded = json(&fs::read_to_string(entry.unwrap().path()).unwrap());
            let Value::Array(steps) = recorded["steps"].take() else { panic!("a recording without steps") };
            Scenario { name: recorded["name"].as_str().unwrap().to_owned(), steps }
        })
        .collect();
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    scenarios
}

/// The names that requests use: accounts, users, tokens, …
pub fn variables() -> HashMap<String, String> {
    serde_json::from_str(&fs::read_to_string(fixtures().join("variables.json")).unwrap()).unwrap()
}

/// JSON of any depth.
pub fn json(text: &str) -> Value {
    parsed(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn parsed(text: &str) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    serde::Deserialize::deserialize(&mut reader)
}

impl Scenario {
    /// Whether it reads anything.
    pub fn reads(&self) -> bool {
        self.steps.iter().any(|step| step["request"]["method"] == "GET")
    }

    /// Whether it only reads.
    pub fn only_reads(&self) -> bool {
        self.steps.iter().all(|step| step["request"]["method"] == "GET")
    }

    /// Sends the requests, and tells of each what Kazoo answered, as far as that was recorded: with what it could not know of
    /// this run (times, revisions, ids) taken from the answer that came, which is told too.
    pub fn retell(
        &self,
        address: SocketAddr,
        variables: &HashMap<String, String>,
        mut told: impl FnMut(&Sent, Option<Response>, Response),
    ) {
        let mut captured = Captured::new();
        for step in &self.steps {
            let sent = Sent::of(step, &captured, variables);
            let came = sent.to(address).unwrap();
            capture(step, &came, &mut captured);
            let is_better = step.get("better").is_some();
            let recorded = (!is_better).then(|| recorded(&step["response"], &came, &captured));
            told(&sent, recorded, came);
        }
    }

    /// Sends the requests; gives the first difference, or what the store must hold.
    pub fn play(&self, address: SocketAddr, variables: &HashMap<String, String>) -> Result<Vec<Stored>, String> {
        let mut captured = Captured::new();
        let mut stored: Vec<Stored> = Vec::new();
        for (number, step) in self.steps.iter().enumerate() {
            let (sent, want) = (Sent::of(step, &captured, variables), &step["response"]);
            let Sent { method, path, headers, .. } = &sent;
            let named =
                format!("{} step {} {method} {}", self.name, number + 1, step["request"]["path"].as_str().unwrap());
            let response = sent.to(address).map_err(|error| format!("{named}: no answer: {error}"))?;
            capture(step, &response, &mut captured);
            let token = headers.iter().find(|(name, _)| name == "X-Auth-Token").map(|(_, token)| token.as_str());
            let told = Comparison { captured: &captured, token, subset: want["match"] == "subset" };
            told.response(want, &response).map_err(|difference| format!("{named}: {difference}"))?;

            let writes = !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") || path.contains("verb=");
            if writes && step.get("stored").is_none() {
                // changed again, and the recording did not look
                stored.retain(|stored| !path.contains(&stored.id));
            }
            if let (Some(document), Some(id)) = (step.get("stored"), step.get("stored_id")) {
                let id = fill(id.as_str().unwrap(), &captured, variables);
                if !id.starts_with('{') {
                    let database = database_of(path, variables);
                    stored.retain(|stored| stored.id != id);
                    stored.push(Stored {
                        database,
                        id,
                        document: document.clone(),
                        captured: captured.clone(),
                        step: named,
                    });
                }
            }
        }
        Ok(stored)
    }
}

/// A request of a recording, as it is sent.
pub struct Sent {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Sent {
    fn of(step: &Value, captured: &Captured, variables: &HashMap<String, String>) -> Self {
        let request = &step["request"];
        let filled_in = |value: &Value| fill(value.as_str().unwrap(), captured, variables);
        let headers = request["headers"].as_object().unwrap().iter();
        Self {
            method: request["method"].as_str().unwrap().to_owned(),
            path: filled_in(&request["path"]),
            headers: headers.map(|(name, value)| (name.clone(), filled_in(value))).collect(),
            body: match (request.get("raw"), request.get("json")) {
                (Some(raw), _) => Some(filled_in(raw)),
                (None, Some(json)) => Some(filled(json, captured, variables).to_string()),
                (None, None) => None,
            },
        }
    }

    /// Sends it.
    pub fn to(&self, address: SocketAddr) -> io::Result<Response> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        client::send(address, &self.method, &self.path, &headers, self.body.as_deref().map(str::as_bytes))
    }
}

fn capture(step: &Value, response: &Response, captured: &mut Captured) {
    for (name, place) in step["capture"].as_object().unwrap() {
        if let Some(value) = look(response, place.as_str().unwrap()) {
            captured.insert(name.clone(), value);
        }
    }
}

/// What was recorded, completed by what came.
fn recorded(want: &Value, came: &Response, captured: &Captured) -> Response {
    let told = Comparison { captured, token: None, subset: want["match"] == "subset" };
    let headers = want["headers"].as_object().into_iter().flatten().map(|(name, value)| {
        let value = told.completed(value, &came.header(name).into());
        (name.clone(), value.as_str().unwrap().to_owned())
    });
    let text = match (want["kind"].as_str(), &want["body"]) {
        (Some("empty"), _) => String::new(),
        (Some("text"), Value::String(body)) if want["headers"]["content-type"] == "text/csv" => told.named(body),
        (Some("text"), Value::String(body)) => {
            let ((name, body), (_, found)) = (wrapped(body), wrapped(&came.text()));
            format!("{name}({});", told.completed(&body, &found))
        }
        (_, body) => {
            let (mut body, found) = (body.clone(), json(&came.text()));
            if want["match"] == "any_order" {
                let place = |row: &Value| {
                    let id = Value::String(told.named(row["id"].as_str().unwrap_or_default()));
                    found["data"].as_array().unwrap().iter().position(|found| found["id"] == id)
                };
                body["data"].as_array_mut().unwrap().sort_by_key(place);
            }
            told.completed(&body, &found).to_string()
        }
    };
    Response { status: want["status"].as_u64().unwrap() as u16, headers: headers.collect(), body: text.into_bytes() }
}

impl Stored {
    /// Holds what the store has against what it must have.
    pub fn check(&self, found: &Value) -> Result<(), String> {
        let told = Comparison { captured: &self.captured, token: None, subset: false };
        told.value(&self.document, found, "stored").map_err(|difference| format!("{}: {difference}", self.step))
    }
}

/// The account database that a path is about; the recordings' other paths are about account B.
fn database_of(path: &str, variables: &HashMap<String, String>) -> String {
    let id = path.split("/accounts/").nth(1).and_then(|rest| rest.get(..32)).unwrap_or(&variables["B"]);
    format!("account/{}/{}/{}", &id[..2], &id[2..4], &id[4..])
}

/// `{NAME}` for what it stands for.
fn fill(text: &str, captured: &Captured, variables: &HashMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        filled.push_str(before);
        let name = after[1..].split_once('}').map(|(name, _)| name).filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_?".contains(c))
        });
        match name.and_then(|name| captured.get(name).or_else(|| variables.get(name)).map(|value| (name, value))) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &after[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &after[1..];
            }
        }
    }
    filled + rest
}

fn filled(value: &Value, captured: &Captured, variables: &HashMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, captured, variables)),
        Value::Array(items) => items.iter().map(|item| filled(item, captured, variables)).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (fill(key, captured, variables), filled(value, captured, variables)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// A value of an answer: `#etag`, or a path into its body.
fn look(response: &Response, place: &str) -> Option<String> {
    if place == "#etag" {
        return response.header("etag").map(str::to_owned);
    }
    let body = parsed(&response.text()).ok()?;
    let found = place.split('.').try_fold(&body, |value, key| value.get(key))?;
    found.as_str().map(str::to_owned)
}

struct Comparison<'a> {
    captured: &'a Captured,
    token: Option<&'a str>,
    subset: bool,
}

impl Comparison<'_> {
    fn response(&self, want: &Value, got: &Response) -> Result<(), String> {
        if let Some(any) = want["status_in"].as_array() {
            let fits = any.iter().any(|status| *status == got.status);
            return if fits { Ok(()) } else { Err(format!("status {}, want one of {any:?}", got.status)) };
        }
        if want["status"] != got.status {
            return Err(format!("status {}, want {}: {}", got.status, want["status"], got.text()));
        }
        for (name, value) in want["headers"].as_object().into_iter().flatten() {
            self.header(name, value.as_str().unwrap(), got.header(name))?;
        }
        let is_csv = want["headers"]["content-type"] == "text/csv";
        match (want["kind"].as_str(), &want["body"]) {
            (Some("empty"), _) if got.body.is_empty() => Ok(()),
            (Some("text"), Value::String(body)) if is_csv => {
                let body = self.named(body);
                if body == got.text() { Ok(()) } else { Err(format!("body {:?}, want {body:?}", got.text())) }
            }
            (Some("text"), Value::String(body)) => {
                let (want, got) = (wrapped(body), got.text());
                let got = wrapped(&got);
                if want.0 != got.0 {
                    return Err(format!("wrapped in {}, want {}", got.0, want.0));
                }
                self.value(&want.1["data"], &got.1["data"], "body/data")
            }
            (_, body) => {
                let mut found = if got.body.is_empty() { Value::Null } else { json(&got.text()) };
                let mut body = body.clone();
                match want["match"].as_str() {
                    Some("any_order") => {
                        for of in [&mut body, &mut found] {
                            let key = |row: &Value| self.named(row["id"].as_str().unwrap_or_default());
                            of["data"].as_array_mut().unwrap().sort_by_key(key);
                        }
                    }
                    Some("count") => {
                        let count = |of: &Value| of["data"].as_array().map(Vec::len);
                        return if count(&body) == count(&found) { Ok(()) } else { Err("another count".to_owned()) };
                    }
                    _ => {}
                }
                self.value(&body, &found, "body")
            }
        }
    }

    fn header(&self, name: &str, want: &str, got: Option<&str>) -> Result<(), String> {
        const SETS: [&str; 4] =
            ["allow", "access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers"];
        let different = || Err(format!("header {name}: {got:?}, want {want:?}"));
        let Some(got) = got else { return different() };
        let fits = if SETS.contains(&name) {
            let got: Vec<String> = got.split(',').map(|one| one.trim().to_lowercase()).collect();
            want.split(',').all(|one| got.contains(&one.trim().to_lowercase()))
        } else if name == "content-type" && want != "application/json" {
            let main = |of: &str| of.split(';').next().map(|main| main.trim().to_owned());
            main(got) == main(want)
        } else {
            self.value(&Value::from(want), &Value::from(got), name).is_ok()
        };
        if fits { Ok(()) } else { different() }
    }

    fn value(&self, want: &Value, got: &Value, path: &str) -> Result<(), String> {
        let different = || {
            let short = |value: &Value| value.to_string().chars().take(160).collect::<String>();
            Err(format!("{path}: {}, want {}", short(got), short(want)))
        };
        match (want, got) {
            (Value::String(want), got) => {
                if self.text(want, got) {
                    Ok(())
                } else {
                    different()
                }
            }
            (Value::Object(want), Value::Object(got)) => {
                let want: Map<String, Value> =
                    want.iter().map(|(key, value)| (self.named(key), value.clone())).collect();
                if let Some(key) = got.keys().find(|key| !self.subset && !want.contains_key(*key)) {
                    return Err(format!("{path}: unexpected key {key}"));
                }
                for (key, value) in &want {
                    let found = got.get(key).ok_or_else(|| format!("{path}: no key {key}"))?;
                    self.value(value, found, &format!("{path}/{key}"))?;
                }
                Ok(())
            }
            (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
                let (mut want, mut got) = (want.clone(), got.clone());
                if path.ends_with("/features") {
                    want.sort_by_key(Value::to_string);
                    got.sort_by_key(Value::to_string);
                }
                want.iter()
                    .zip(&got)
                    .enumerate()
                    .try_for_each(|(at, (want, got))| self.value(want, got, &format!("{path}/{at}")))
            }
            (Value::Number(want), Value::Number(got)) => {
                let same = want.to_string() == got.to_string() || want.as_f64() == got.as_f64();
                if same { Ok(()) } else { different() }
            }
            (want, got) if want == got => Ok(()),
            _ => different(),
        }
    }

    fn text(&self, want: &str, got: &Value) -> bool {
        let text = got.as_str();
        let is_revision = |text: &str| {
            text.split_once('-').is_some_and(|(number, digest)| {
                number.parse::<u64>().is_ok() && digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit())
            })
        };
        let unquoted = |text: &str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned);
        match want {
            "<any>" => true,
            "<token>" => text == self.token,
            "<newtoken>" => text.is_some_and(|text| text.split('.').count() == 3),
            "<time>" => got.as_i64().is_some_and(is_now),
            "<rev>" => text.is_some_and(is_revision),
            "\"<rev>\"" => text.and_then(unquoted).is_some_and(|text| is_revision(&text)),
            "<etag>" => text.is_some_and(|text| !text.is_empty()),
            "\"<etag>\"" => text.and_then(unquoted).is_some_and(|text| !text.is_empty()),
            "<reqid>" => text.is_some_and(|text| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
            }),
            "<iso>" => text.is_some_and(|text| text.len() == 20 && text.ends_with('Z') && text.contains('T')),
            want => {
                let want = self.named(want);
                match (want.split_once("<file>"), text) {
                    (Some((before, after)), Some(text)) => text.starts_with(before) && text.ends_with(after),
                    _ => text == Some(want.as_str()),
                }
            }
        }
    }

    /// What was recorded, its placeholders filled by what stands in their place.
    fn completed(&self, want: &Value, came: &Value) -> Value {
        match (want, came) {
            (Value::String(text), came) if text.contains('<') && self.text(text, came) => came.clone(),
            // who sent it is told its token again
            (Value::String(text), came) if text == "<token>" => came.clone(),
            (Value::String(text), _) => self.named(text).into(),
            (Value::Object(want), Value::Object(came)) => {
                let more = came.iter().filter(|_| self.subset).map(|(key, value)| (key.clone(), value.clone()));
                let recorded = want.iter().map(|(key, value)| {
                    let key = self.named(key);
                    let value = self.completed(value, came.get(&key).unwrap_or(&Value::Null));
                    (key, value)
                });
                Value::Object(more.chain(recorded).collect())
            }
            (Value::Array(want), Value::Array(came)) => {
                let came = came.iter().map(Some).chain(std::iter::repeat(None));
                want.iter().zip(came).map(|(want, came)| self.completed(want, came.unwrap_or(&Value::Null))).collect()
            }
            (want, _) => want.clone(),
        }
    }

    /// `<id:G>` for the id that was captured.
    fn named(&self, text: &str) -> String {
        let mut named = text.to_owned();
        for (name, value) in self.captured {
            named = named.replace(&format!("<id:{}>", name.trim_end_matches('?')), value);
        }
        named
    }
}

/// Within ten minutes of now, in gregorian seconds.
fn is_now(time: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + 62_167_219_200;
    (time - now).abs() < 600
}

/// JSONP: the function's name and what it is called with.
fn wrapped(text: &str) -> (String, Value) {
    let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text}"));
    let inner = rest.trim_end().trim_end_matches(';').strip_suffix(')').unwrap_or_else(|| panic!("no call: {text}"));
    (name.to_owned(), json(inner))
}
