//! What requests may say beside their bodies.

use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, Required};

use crate::demo;
use crate::kazoo::page::PageSize;
use crate::kazoo::rings::{Module, Strategy};

fn parameter(place: ParameterIn, name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A number. As in Kazoo nothing is refused: what is none is as if nothing were said, or nothing passes.
fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::String]))
}

/// Whether something is so. Likewise: only `true` is.
fn truth(default: bool) -> ObjectBuilder {
    let schema_type = SchemaType::from_iter([Type::Boolean, Type::String]);
    ObjectBuilder::new().schema_type(schema_type).default(Some(json!(default)))
}

fn one_of(values: &[&str], default: &str) -> ObjectBuilder {
    text().enum_values(Some(values.iter().copied())).default(Some(json!(default)))
}

fn in_query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, description, schema).build()
}

fn in_header(name: &str, description: &str) -> Parameter {
    parameter(ParameterIn::Header, name, description, text()).build()
}

/// A part of a path. Its example is what the operations' examples have there, unless they say otherwise.
fn in_path(name: &str, description: &str, example: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Path, name, description, schema).example(Some(json!(example))).build()
}

pub fn account_id() -> Parameter {
    let schema = text().pattern(Some("^[0-9a-f]{32}$"));
    in_path("account_id", "The account.", demo::ACCOUNT, schema)
}

pub fn user_id() -> Parameter {
    in_path("user_id", "A user of the account.", demo::USER, id())
}

pub fn group_id() -> Parameter {
    in_path("group_id", "The group.", demo::GROUP, id())
}

/// Kazoo's ids are 32 hex digits; a client may have given its document any other without a slash.
fn id() -> Object {
    text().pattern(Some("^[^_/%.][^/%]*$")).build()
}

pub fn schema_name(names: &[&str]) -> Parameter {
    in_path("name", "The schema.", "groups", text().enum_values(Some(names.iter().copied())))
}

/// What every request may say of its answer.
pub fn of_every_answer() -> Vec<Parameter> {
    vec![
        in_query("pretty_print", "JSON with line breaks and indentation.", truth(false)),
        in_header("X-Request-ID", "The client's own id of the request, which the answer and the log tell again."),
    ]
}

/// What a request that only reads may say.
pub fn of_reading() -> Vec<Parameter> {
    let csv = "The form of the answer, before what the header `Accept` says: `csv`, or a media type.";
    vec![
        in_query("accept", csv, text()),
        in_header("If-None-Match", "An `ETag`: the answer is 304 if it has not changed."),
    ]
}

pub fn if_match() -> Parameter {
    in_header(
        "If-Match",
        "An `ETag`: nothing is done, and the answer is 412, if the group is no longer as it was then.",
    )
}

/// The same of what is yet to be created.
pub fn if_match_of_new() -> Parameter {
    in_header("If-Match", "With it nothing is created: what is not there yet is nothing that the client has seen.")
}

/// What a list may be asked for.
pub fn of_lists() -> Vec<Parameter> {
    let default = PageSize::DEFAULT.get();
    let size = "How many rows a page has; anything but a number from 1 on is as if it were not there.";
    vec![
        in_query("paginate", "`false`: all rows at once.", truth(true)),
        in_query("page_size", size, number().default(Some(json!(default)))),
        in_query("start_key", "`next_start_key` of the page before.", text()),
        filters(),
        in_query("has_key", "Only groups that have this key. A path has dots: `music_on_hold.media_id`.", text()),
        in_query("key_missing", "Only groups that don't have this key.", text()),
        in_query("has_value", "Only groups that have something at this key that is not empty.", text()),
        in_query("value_missing", "Only groups that have nothing at this key, or something empty.", text()),
        in_query("created_from", "Only groups created at this time or later.", number()),
        in_query("created_to", "Only groups created at this time or before.", number()),
        in_query("modified_from", "Only groups changed at this time or later.", number()),
        in_query("modified_to", "Only groups changed at this time or before.", number()),
    ]
}

fn filters() -> Parameter {
    let description = "`filter_KEY=VALUE`: only groups that have the value at the key, or, where it holds a list, among its items; \
        `filter_not_KEY=VALUE`: only the others. There may be several.";
    // its keys begin with `filter_`; what begins otherwise is another parameter, or none
    let schema = ObjectBuilder::new().schema_type(Type::Object);
    parameter(ParameterIn::Query, "filter", description, schema)
        .style(Some(ParameterStyle::Form))
        .explode(Some(true))
        .build()
}

/// Where a client that listens to a list was cut off.
pub fn of_events() -> Vec<Parameter> {
    let last = "The `id` of the last event that was told, with `Accept: text/event-stream`: what happened since then is told, and not \
        what is listed.";
    vec![in_header("Last-Event-ID", last), in_query("last_event_id", last, text())]
}

/// How a group is rung.
pub fn of_rings() -> Vec<Parameter> {
    let strategies = Strategy::ALL.map(Strategy::name);
    let modules = Module::ALL.map(Module::name);
    vec![
        in_query("strategy", "In which order a ring group rings.", one_of(&strategies, Strategy::Simultaneous.name())),
        in_query("module", "By which module a callflow rings it.", one_of(&modules, Module::RingGroup.name())),
        in_query("callflows", "`true`: also whom each callflow rings that names the group.", truth(false)),
    ]
}

/// Whether a group is deleted that something names.
pub fn unless_used() -> Parameter {
    in_query("unless_used", "`true`: a group that something names is not deleted.", truth(false))
}

/// Gives a parameter the values that it has in examples, by their names.
pub fn with_examples(mut parameter: Parameter, values: impl IntoIterator<Item = (String, Value)>) -> Parameter {
    let values: serde_json::Map<String, Value> =
        values.into_iter().map(|(name, value)| (name, json!({ "value": value }))).collect();
    if !values.is_empty() {
        // utoipa has one example of a parameter; the specification has many
        parameter.extensions = Some([("examples", Value::Object(values))].into_iter().collect());
    }
    parameter
}
