//! JSON schemas: the groups schema and those of the two sign-ins, checked by valico, whose findings are told in
//! Kazoo's words.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use valico::json_schema::{SchemaVersion, Scope};

use crate::document::{Document, json};

/// A schema of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// Its name: its id in Kazoo's `system_schemas`, and in `/v2/schemas/…`.
    pub name: &'static str,
    source: &'static str,
}

/// The schema of a group's public fields.
pub const GROUPS: Schema = Schema { name: "groups", source: include_str!("schemas/groups.json") };

/// The schema of `PUT /v2/user_auth`.
pub const USER_AUTH: Schema = Schema { name: "user_auth", source: include_str!("schemas/user_auth.json") };

/// The schema of `PUT /v2/api_auth`.
pub const API_AUTH: Schema = Schema { name: "api_auth", source: include_str!("schemas/api_auth.json") };

/// Every schema, by name.
pub const ALL: &[Schema] = &[API_AUTH, GROUPS, USER_AUTH];

/// What is wrong with a client's data: by property (a path with dots), by rule (`required`, `type`, …).
pub type ValidationErrors = Map<String, Value>;

/// One finding about one property.
pub fn validation_error(property: &str, rule: &str, detail: Value) -> ValidationErrors {
    Map::from_iter([(property.to_owned(), json!({ rule: detail }))])
}

impl Schema {
    /// The schema of this name.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|schema| schema.name == name)
    }

    /// The schema's own document, as Kazoo serves it.
    pub fn document(&self) -> Document {
        Document::parse(self.source).unwrap_or_else(|error| unreachable!("schema {}: {error}", self.name))
    }

    /// Fills in the defaults of missing properties and checks the whole.
    ///
    /// Errors: every finding at once. Properties that the schema does not name are taken as they are.
    pub fn validate(&self, mut data: Document) -> Result<Document, ValidationErrors> {
        let schema = self.tree();
        let properties = schema["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            if let Some(default) = property.get("default").filter(|_| !data.contains(name)) {
                data.set(name, json::raw(default));
            }
        }
        let known = data.iter().filter(|(name, _)| properties.is_some_and(|known| known.contains_key(*name)));
        let tree = known.map(|(name, raw)| (name.to_owned(), json::tree(raw).unwrap_or_default())).collect();
        let errors = self.errors(&schema, &Value::Object(tree));
        if errors.is_empty() { Ok(data) } else { Err(errors) }
    }

    /// The same for data that may be no object, as a client can send it.
    pub fn validate_raw(&self, data: &RawValue) -> Result<Document, ValidationErrors> {
        match Document::from_raw(data) {
            Some(document) => self.validate(document),
            None => Err(self.errors(&self.tree(), &json::tree(data).unwrap_or_default())),
        }
    }

    fn tree(&self) -> Value {
        serde_json::from_str(self.source).unwrap_or_else(|error| unreachable!("schema {}: {error}", self.name))
    }

    fn errors(&self, schema: &Value, data: &Value) -> ValidationErrors {
        let mut scope = Scope::without_formats(SchemaVersion::Draft7);
        let compiled = scope
            .compile_and_return(schema.clone(), false)
            .unwrap_or_else(|error| unreachable!("schema {}: {error:?}", self.name));
        let mut errors = ValidationErrors::new();
        for finding in compiled.validate(data).errors {
            let path = finding.get_path();
            let (rule, detail) = told(finding.get_code(), path, schema, data);
            let of_property = errors.entry(path.trim_start_matches('/').replace('/', ".")).or_insert_with(|| json!({}));
            of_property[rule] = detail;
        }
        errors
    }
}

/// One of valico's findings as Kazoo's rule and its detail.
fn told(code: &str, path: &str, schema: &Value, data: &Value) -> (&'static str, Value) {
    let value = || data.pointer(path).cloned().unwrap_or_default();
    let target = |rule: &str| at(schema, path).get(rule).cloned().unwrap_or_default();
    match code {
        "required" => {
            let name = path.rsplit('/').next().unwrap_or_default();
            ("required", json!({ "message": "Field is required but missing", "value": name }))
        }
        "wrong_type" => {
            let kind = target("type");
            let message = format!("Value did not match type(s): {}", kind.as_str().unwrap_or_default());
            ("type", json!({ "message": message, "target": kind, "value": value() }))
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
        "enum" => {
            let message = "Value not found in enumerated list of values";
            ("enum", json!({ "message": message, "target": target("enum"), "value": value() }))
        }
        other => ("invalid", json!({ "message": other, "value": value() })),
    }
}

/// The part of a schema that a path into data is checked by.
fn at<'a>(schema: &'a Value, path: &str) -> &'a Value {
    path.split('/').skip(1).fold(schema, |part, key| match part.get("items") {
        Some(items) => items,
        None => &part["properties"][key],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(data: &str) -> Value {
        let errors = GROUPS.validate(Document::parse(data).unwrap()).err().unwrap_or_default();
        Value::Object(errors)
    }

    #[test]
    fn defaults_are_filled_in_where_a_property_is_missing() {
        let valid = GROUPS.validate(Document::parse(r#"{"name":"a","x":1}"#).unwrap()).unwrap();
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
}
