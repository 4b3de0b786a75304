//! A schema's document as a tree that valico reads, and what its defaults make of data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::document::{Document, json};

use super::super::documents;

/// A schema by its document, with the documents of those that it refers to as its definitions, by their names.
pub(super) fn whole(document: &Document, others: &BTreeMap<String, Arc<Document>>) -> Value {
    let mut whole = tree(document);
    let mut definitions: Map<String, Value> =
        others.iter().map(|(name, document)| (name.clone(), tree(document))).collect();
    definitions.values_mut().chain([&mut whole]).for_each(refer_to_definitions);
    if !definitions.is_empty() {
        let own = whole.as_object_mut().map(|whole| whole.entry("definitions").or_insert_with(|| json!({})));
        own.and_then(Value::as_object_mut).into_iter().for_each(|own| own.append(&mut definitions));
    }
    whole
}

/// The names of the schemas that a document refers to.
pub(super) fn references(document: &Document) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_references(&tree(document), &mut names);
    names
}

/// A schema's document as valico reads it: without what is no part of a schema, and with draft 4's flags as the
/// numbers that later drafts have.
pub(super) fn tree(document: &Document) -> Value {
    let mut document = documents::submitted(document.clone());
    document.remove("$schema");
    let mut tree = json::tree(&document.to_raw()).unwrap_or_default();
    number_exclusive_limits(&mut tree);
    only_reference(&mut tree);
    tree
}

/// A reference stands for all beside it but for definitions, as up to draft 7. valico would look at the rest or not, by
/// chance.
fn only_reference(schema: &mut Value) {
    if let Value::Object(fields) = schema
        && fields.get("$ref").is_some_and(Value::is_string)
    {
        fields.retain(|key, _| matches!(key.as_str(), "$id" | "$ref" | "definitions"));
    }
    children(schema).for_each(only_reference);
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
pub(super) fn with_defaults(mut data: Document, schema: &Value) -> Document {
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
