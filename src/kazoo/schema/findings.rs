//! What valico finds, in Kazoo's words (`kz_json_schema`).

use serde_json::{Value, json};

/// One of valico's findings as Kazoo's rule and its detail.
pub(super) fn rule_and_detail(code: &str, path: &str, schema: &Value, data: &Value) -> (&'static str, Value) {
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
