//! JSON schemas: the groups schema and those of the two sign-ins, or what an operator's `system_schemas` has in their
//! place. They are checked by valico, whose findings are told in Kazoo's words (`kz_json_schema`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use url::Url;
use valico::json_schema::{SchemaVersion, Scope};

use crate::document::{Document, Revision, json};

use super::documents;

/// The database of an operator's schemas.
pub const SYSTEM_SCHEMAS: &str = "system_schemas";

/// The schema of a group's public fields.
pub const GROUPS: &str = "groups";

/// The schema of `PUT /v2/user_auth`.
pub const USER_AUTH: &str = "user_auth";

/// The schema of `PUT /v2/api_auth`.
pub const API_AUTH: &str = "api_auth";

/// The schemas of this crate, by name.
static OURS: LazyLock<[Arc<Schema>; 3]> = LazyLock::new(|| {
    let sources = [
        (API_AUTH, include_str!("schemas/api_auth.json")),
        (GROUPS, include_str!("schemas/groups.json")),
        (USER_AUTH, include_str!("schemas/user_auth.json")),
    ];
    sources.map(|(name, source)| {
        let document = Document::parse(source).unwrap_or_else(|error| unreachable!("schema {name}: {error}"));
        Arc::new(Schema::new(name, &document, &BTreeMap::new()))
    })
});

/// How many compiled schemas a thread keeps.
const COMPILED: usize = 16;

/// What is wrong with a client's data: by property (a path with dots), by rule (`required`, `type`, …).
pub type ValidationErrors = Map<String, Value>;

/// One finding about one property.
pub fn validation_error(property: &str, rule: &str, detail: Value) -> ValidationErrors {
    Map::from_iter([(property.to_owned(), json!({ rule: detail }))])
}

/// A schema.
pub struct Schema {
    /// Its name: its id in Kazoo's `system_schemas`, and in `/v2/schemas/…`.
    pub name: String,
    /// Its revision, if it is an operator's.
    revision: Option<Revision>,
    public: Document,
    tree: Value,
    /// Which of all schemas of this process it is.
    number: u64,
}

/// A schema that valico has read. It can't be shared between threads.
struct Compiled {
    scope: Scope,
    url: Url,
}

impl Schema {
    /// The names of this crate's schemas.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OURS.iter().map(|schema| schema.name.as_str())
    }

    /// This crate's schema of a name.
    pub fn ours(name: &str) -> Option<Arc<Self>> {
        OURS.iter().find(|schema| schema.name == name).cloned()
    }

    /// A schema by its document, and the documents of those that it refers to, by their names.
    pub fn new(name: &str, document: &Document, others: &BTreeMap<String, Arc<Document>>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let mut public = documents::public(document);
        public.set_text("id", name);
        let mut tree = tree(document);
        let definitions: Map<String, Value> =
            others.iter().map(|(name, document)| (name.clone(), tree_in_place(document))).collect();
        refer_to_definitions(&mut tree);
        if !definitions.is_empty() {
            let own = tree.as_object_mut().map(|tree| tree.entry("definitions").or_insert_with(|| json!({})));
            own.and_then(Value::as_object_mut).into_iter().for_each(|own| own.extend(definitions.clone()));
        }
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { name: name.to_owned(), revision: document.revision(), public, tree, number }
    }

    /// The names of the schemas that a document refers to.
    pub fn references(document: &Document) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        collect_references(&tree(document), &mut names);
        names
    }

    /// The schema as it is shown, and its revision.
    pub fn document(&self) -> (&Document, Revision) {
        (&self.public, self.revision.clone().unwrap_or_else(|| self.public.next_revision(None)))
    }

    /// Fills in the defaults of missing properties and checks the whole.
    ///
    /// Errors: every finding at once. Properties that the schema does not name are taken as they are.
    pub fn validate(&self, data: Document) -> Result<Document, ValidationErrors> {
        let data = with_defaults(data, &self.tree);
        // what no rule looks at is not parsed
        let looks_at_all = [
            "additionalProperties",
            "patternProperties",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "allOf",
            "anyOf",
            "oneOf",
            "not",
            "$ref",
            "dependencies",
        ]
        .iter()
        .any(|keyword| self.tree.get(keyword).is_some());
        let properties = self.tree["properties"].as_object();
        let is_known = |name: &str| looks_at_all || properties.is_some_and(|known| known.contains_key(name));
        let known = data.iter().filter(|(name, _)| is_known(name));
        let tree = known.map(|(name, raw)| (name.to_owned(), json::tree(raw).unwrap_or_default())).collect();
        let errors = self.errors(&Value::Object(tree));
        if errors.is_empty() { Ok(data) } else { Err(errors) }
    }

    /// The same for data that may be no object, as a client can send it.
    pub fn validate_raw(&self, data: &RawValue) -> Result<Document, ValidationErrors> {
        match Document::from_raw(data) {
            Some(document) => self.validate(document),
            None => Err(self.errors(&json::tree(data).unwrap_or_default())),
        }
    }

    /// Why no data can be checked by it, if it is no schema.
    pub fn problem(&self) -> Option<String> {
        self.compile().err()
    }

    fn errors(&self, data: &Value) -> ValidationErrors {
        let compiled = match self.compile() {
            Ok(compiled) => compiled,
            Err(problem) => {
                return validation_error(
                    "schema",
                    "schema",
                    json!({ "message": "schema is invalid", "schema": problem }),
                );
            }
        };
        let Some(schema) = compiled.scope.resolve(&compiled.url) else { return ValidationErrors::new() };
        let mut errors = ValidationErrors::new();
        for finding in schema.validate(data).errors {
            let path = finding.get_path();
            let (rule, detail) = told(finding.get_code(), path, &self.tree, data);
            let of_property = errors.entry(path.trim_start_matches('/').replace('/', ".")).or_insert_with(|| json!({}));
            of_property[rule] = detail;
        }
        errors
    }

    /// The compiled schema, which this thread compiles once.
    fn compile(&self) -> Result<Rc<Compiled>, String> {
        thread_local! {
            static ALL: RefCell<HashMap<u64, Rc<Compiled>>> = RefCell::default();
        }
        ALL.with_borrow_mut(|all| {
            if let Some(compiled) = all.get(&self.number) {
                return Ok(Rc::clone(compiled));
            }
            let mut scope = Scope::without_formats(SchemaVersion::Draft7);
            let url = scope.compile(self.tree.clone(), false).map_err(|error| error.to_string())?;
            let compiled = Rc::new(Compiled { scope, url });
            if all.len() >= COMPILED {
                all.clear();
            }
            all.insert(self.number, Rc::clone(&compiled));
            Ok(compiled)
        })
    }
}

/// A schema's document as valico reads it: without what is no part of a schema, and with draft 4's flags as the
/// numbers that later drafts have.
fn tree(document: &Document) -> Value {
    let mut document = documents::submitted(document.clone());
    document.remove("$schema");
    let mut tree = json::tree(&document.to_raw()).unwrap_or_default();
    number_exclusive_limits(&mut tree);
    tree
}

fn tree_in_place(document: &Document) -> Value {
    let mut tree = tree(document);
    refer_to_definitions(&mut tree);
    tree
}

fn number_exclusive_limits(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        for (flag, limit) in [("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum")] {
            match fields.get(flag) {
                Some(Value::Bool(true)) if fields.contains_key(limit) => {
                    let limit = fields.remove(limit).unwrap_or_default();
                    fields.insert(flag.to_owned(), limit);
                }
                Some(Value::Bool(_)) => drop(fields.remove(flag)),
                _ => {}
            }
        }
    }
    children(schema).for_each(number_exclusive_limits);
}

/// A reference to another schema of `system_schemas` becomes one to a definition of its name.
fn refer_to_definitions(schema: &mut Value) {
    if let Some(Value::String(name)) = schema.get_mut("$ref")
        && !name.starts_with('#')
    {
        *name = format!("#/definitions/{name}");
    }
    children(schema).for_each(refer_to_definitions);
}

fn collect_references(schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).filter(|name| !name.starts_with('#')) {
        names.insert(name.to_owned());
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| collect_references(value, names)),
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, names)),
        _ => {}
    }
}

fn children(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.values_mut()),
        Value::Array(items) => Box::new(items.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Data with the defaults of properties that are missing, at every depth at which there is an object for them.
fn with_defaults(mut data: Document, schema: &Value) -> Document {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        match (data.get(name), property.get("default")) {
            (None, Some(default)) => data.set(name, json::raw(default)),
            (None, None) => continue,
            (Some(_), _) => {}
        }
        let has_inner = property["properties"].as_object().is_some_and(|inner| !inner.is_empty());
        if let Some(inner) = data.get(name).filter(|_| has_inner).and_then(Document::from_raw) {
            let fields = inner.len();
            let filled = with_defaults(inner, property);
            if filled.len() > fields {
                data.set(name, filled.to_raw());
            }
        }
    }
    data
}

/// One of valico's findings as Kazoo's rule and its detail.
fn told(code: &str, path: &str, schema: &Value, data: &Value) -> (&'static str, Value) {
    let value = || data.pointer(path).cloned().unwrap_or_default();
    let part = at(schema, path);
    let target = |rule: &str| part.get(rule).cloned().unwrap_or_default();
    let first = |rules: [&str; 2]| rules.iter().find_map(|rule| part.get(rule)).cloned().unwrap_or_default();
    let limited =
        |rule, limit: Value, message: String| (rule, json!({ "message": message, "target": limit, "value": value() }));
    match code {
        "required" => {
            let name = path.rsplit('/').next().unwrap_or_default();
            ("required", json!({ "message": "Field is required but missing", "value": name }))
        }
        "wrong_type" => {
            let kind = match target("type") {
                Value::Array(kinds) => {
                    Value::String(kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
                }
                kind => kind,
            };
            let message = format!("Value did not match type(s): {}", kind.as_str().unwrap_or_default());
            limited("type", kind, message)
        }
        "max_length" => {
            let most = target("maxLength");
            let message = format!("String must not be more than {most} characters");
            ("maxLength", json!({ "message": message, "target": most, "cause": value(), "value": value() }))
        }
        "min_length" => {
            let least = target("minLength");
            let message = format!("String must be at least {least} characters");
            ("minLength", json!({ "message": message, "target": least, "cause": value(), "value": value() }))
        }
        "enum" => limited("enum", target("enum"), "Value not found in enumerated list of values".to_owned()),
        "minimum" => {
            let least = first(["minimum", "exclusiveMinimum"]);
            let message = format!("Value must be at least {least}");
            limited("minimum", least, message)
        }
        "maximum" => {
            let most = first(["maximum", "exclusiveMaximum"]);
            let message = format!("Value must be at most {most}");
            limited("maximum", most, message)
        }
        "min_items" => {
            let least = target("minItems");
            let message = format!("The list must have at least {least} items");
            limited("minItems", least, message)
        }
        "max_items" => {
            let most = target("maxItems");
            let message = format!("The list is more than {most} items");
            limited("maxItems", most, message)
        }
        "min_properties" => {
            let least = target("minProperties");
            let message = format!("The object must have at least {least} keys");
            limited("minProperties", least, message)
        }
        "pattern" => {
            let pattern = target("pattern");
            let message = format!("Failed to match pattern '{}'", pattern.as_str().unwrap_or_default());
            limited("pattern", pattern, message)
        }
        "unique_items" => ("uniqueItems", json!({ "message": "List of items is not unique", "value": value() })),
        "properties" => {
            let message = "Strict checking of data is enabled; only include schema-defined properties";
            ("additionalProperties", json!({ "message": message, "value": value() }))
        }
        "items" => {
            let message = "Strict checking of data is enabled; only include schema-defined items";
            ("additionalItems", json!({ "message": message, "value": value() }))
        }
        other => {
            let rule = match other {
                "any_of" => "any_schemas_not_valid",
                "one_of" => "not_one_schema_valid",
                "not" => "not_schema_valid",
                "max_properties" => "too_many_properties",
                "multiple_of" => "not_multiple_of",
                _ => "invalid",
            };
            (rule, json!({ "message": "failed to validate", "value": value() }))
        }
    }
}

/// The part of a schema that a path into data is checked by.
fn at<'a>(schema: &'a Value, path: &str) -> &'a Value {
    path.split('/').skip(1).fold(schema, |part, key| {
        let of_pattern = || part["patternProperties"].as_object()?.values().next();
        let part = part.get("items").or_else(|| part["properties"].get(key)).or_else(of_pattern);
        let part = part.unwrap_or(&Value::Null);
        match part.get("$ref").and_then(Value::as_str).and_then(|name| schema.pointer(name.trim_start_matches('#'))) {
            Some(referred) => referred,
            None => part,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Arc<Schema> {
        Schema::ours(GROUPS).unwrap()
    }

    fn findings(data: &str) -> Value {
        let errors = groups().validate(Document::parse(data).unwrap()).err().unwrap_or_default();
        Value::Object(errors)
    }

    #[test]
    fn defaults_are_filled_in_where_a_property_is_missing() {
        let valid = groups().validate(Document::parse(r#"{"name":"a","x":1}"#).unwrap()).unwrap();
        assert_eq!(valid.to_json(), r#"{"name":"a","x":1,"endpoints":{},"music_on_hold":{}}"#);
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(findings(&format!(r#"{{"name":"{}"}}"#, "é".repeat(128))), json!({}));
        let message = &findings(&format!(r#"{{"name":"{}"}}"#, "é".repeat(129)))["name"]["maxLength"]["message"];
        assert_eq!(message, "String must not be more than 128 characters");
    }

    #[test]
    fn each_finding_is_told() {
        assert_eq!(
            findings(r#"{"flags":["a",1],"music_on_hold":{"media_id":7}}"#),
            json!({
                "name": {"required": {"message": "Field is required but missing", "value": "name"}},
                "flags.1": {"type": {"message": "Value did not match type(s): string", "target": "string", "value": 1}},
                "music_on_hold.media_id":
                    {"type": {"message": "Value did not match type(s): string", "target": "string", "value": 7}},
            })
        );
    }

    #[test]
    fn an_operators_schema_is_checked_by_its_own_rules() {
        let document = |text: &str| Document::parse(text).unwrap();
        let schema = document(
            r#"{"_id":"groups","_rev":"3-a","$schema":"http://json-schema.org/draft-04/schema#","type":"object",
                "properties":{"name":{"type":"string","maxLength":3,"pattern":"^[a-z]+$"},
                "n":{"type":"integer","minimum":1,"maximum":5,"exclusiveMaximum":true},"o":{"$ref":"other"},
                "l":{"type":"array","maxItems":1},"music_on_hold":{"default":{},"properties":{"m":{"default":7}}}},
                "additionalProperties":false,"required":["name"],"pvt_type":"schema"}"#,
        );
        assert_eq!(Schema::references(&schema).into_iter().collect::<Vec<_>>(), ["other"]);
        let other = document(r#"{"_id":"other","type":"object","required":["x"]}"#);
        let schema = Schema::new(GROUPS, &schema, &BTreeMap::from([("other".to_owned(), Arc::new(other))]));
        assert_eq!(schema.problem(), None);
        assert_eq!(schema.document().1.to_string(), "3-a");
        assert!(!schema.document().0.contains("pvt_type"));
        let valid = schema.validate(document(r#"{"name":"abc","n":4,"o":{"x":1}}"#)).unwrap();
        assert_eq!(valid.to_json(), r#"{"name":"abc","n":4,"o":{"x":1},"music_on_hold":{"m":7}}"#);
        let findings = schema.validate(document(r#"{"name":"ABCD","n":5,"o":{},"l":[1,2],"z":0}"#)).unwrap_err();
        let message = |property: &str, rule: &str| findings[property][rule]["message"].as_str().unwrap().to_owned();
        assert_eq!(message("name", "maxLength"), "String must not be more than 3 characters");
        assert_eq!(message("name", "pattern"), "Failed to match pattern '^[a-z]+$'");
        assert_eq!(message("n", "maximum"), "Value must be at most 5");
        assert_eq!(message("l", "maxItems"), "The list is more than 1 items");
        assert_eq!(message("o.x", "required"), "Field is required but missing");
        assert!(findings.values().any(|of| of.get("additionalProperties").is_some()), "{findings:?}");
    }

    #[test]
    fn what_is_no_schema_lets_nothing_through() {
        let schema = Schema::new(GROUPS, &Document::parse(r#"{"type":"nothing"}"#).unwrap(), &BTreeMap::new());
        assert!(schema.problem().is_some());
        let findings = schema.validate(Document::parse(r#"{"name":"a"}"#).unwrap()).unwrap_err();
        assert_eq!(findings["schema"]["schema"]["message"], "schema is invalid");
    }
}
