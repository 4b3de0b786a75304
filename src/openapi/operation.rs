//! An operation: a verb at a path, and how it is written into the document.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{Ref, Required, SecurityRequirement};

use crate::api::Error;
use crate::document::segment;
use crate::kazoo::verb::Verb;

use super::answers::{Given, responses};
use super::parameters::with_examples;
use super::{BASIC, TOKEN, TOKEN_IN_QUERY};

/// The parameter that stands for all filters.
const FILTER: &str = "filter";

/// What is written for a token in examples.
pub const TOKEN_VARIABLE: &str = "$TOKEN";

/// What can be asked for.
pub struct Operation {
    /// Its name in the document, and in generated clients.
    pub id: &'static str,
    pub verb: Verb,
    /// The path, with its parameters in braces.
    pub path: String,
    /// What it is about: one of the document's tags.
    pub tag: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    pub parameters: Vec<Parameter>,
    /// The name of the schema of its body.
    pub body: Option<&'static str>,
    /// Whether it needs to be known who asks.
    pub needs_token: bool,
    pub given: Vec<Given>,
    pub errors: Vec<Error>,
    /// Requests that the tests send, in this order.
    pub examples: Vec<Example>,
}

/// A request, and the status of its answer.
pub struct Example {
    pub name: &'static str,
    pub summary: &'static str,
    pub status: u16,
    path: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<Value>,
    has_token: bool,
}

impl Example {
    /// A request with a token, and what the operation's parameters have in the path.
    pub fn of(name: &'static str, summary: &'static str, status: u16) -> Self {
        let (path, query, headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, summary, status, path, query, headers, body: None, has_token: true }
    }

    /// With something else in the path.
    pub fn at(mut self, parameter: &'static str, value: &'static str) -> Self {
        self.path.push((parameter, value));
        self
    }

    pub fn query(mut self, name: &'static str, value: &'static str) -> Self {
        self.query.push((name, value));
        self
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn without_token(mut self) -> Self {
        self.has_token = false;
        self
    }

    /// The media type of the answer that it asks for.
    pub fn form(&self) -> &'static str {
        match (self.said("Accept"), self.query.contains(&("accept", "csv"))) {
            (_, true) => "text/csv",
            (Some(form), false) => form,
            (None, false) => "application/json",
        }
    }

    /// Whether it is one to follow.
    fn is_right(&self) -> bool {
        self.status < 400
    }

    fn said(&self, header: &str) -> Option<&'static str> {
        self.headers.iter().find(|(name, _)| *name == header).map(|(_, value)| *value)
    }

    /// What the example has for a parameter.
    fn value(&self, parameter: &Parameter) -> Option<Value> {
        let of = |values: &[(&'static str, &'static str)]| {
            values.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| json!(value))
        };
        match parameter.parameter_in {
            ParameterIn::Path => of(&self.path).or_else(|| of_parameter(parameter, "/example")),
            ParameterIn::Header => of(&self.headers),
            _ if parameter.name == FILTER => {
                let filters = self.query.iter().filter(|(name, _)| name.starts_with("filter_"));
                let filters: serde_json::Map<_, _> =
                    filters.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                (!filters.is_empty()).then_some(Value::Object(filters))
            }
            // numbers and truths are no texts in the document
            _ if of_parameter(parameter, "/schema/type").is_some_and(|of| of != "string") => {
                of(&self.query).and_then(|value| serde_json::from_str(value.as_str()?).ok())
            }
            _ => of(&self.query),
        }
    }
}

/// What stands in a parameter, which utoipa keeps to itself.
fn of_parameter(parameter: &Parameter, pointer: &str) -> Option<Value> {
    serde_json::to_value(parameter).ok()?.pointer(pointer).cloned()
}

impl Operation {
    /// The verb as utoipa has it.
    pub fn http_method(&self) -> HttpMethod {
        match self.verb {
            Verb::Get => HttpMethod::Get,
            Verb::Post => HttpMethod::Post,
            Verb::Put => HttpMethod::Put,
            Verb::Delete => HttpMethod::Delete,
            Verb::Head => HttpMethod::Head,
            Verb::Patch => HttpMethod::Patch,
            Verb::Options => HttpMethod::Options,
        }
    }

    /// The operation as it is written into the document.
    pub fn into_operation(self) -> OperationBuilder {
        let requests: Vec<Value> = self.examples.iter().map(|example| self.request(example)).collect();
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag)
            .summary(Some(self.summary))
            .description(Some(self.description))
            // whole requests, which the specification has no place for: from them the page makes command lines
            .extensions(Some([("x-requests", Value::Array(requests))].into_iter().collect()));
        if self.needs_token {
            let any_of = [TOKEN, TOKEN_IN_QUERY, BASIC].map(|scheme| SecurityRequirement::new(scheme, [""; 0]));
            operation = operation.securities(Some(any_of));
        }
        operation = operation.request_body(self.request_body());
        for (status, response) in responses(self.id, &self.given, &self.errors, &self.examples) {
            operation = operation.response(status.to_string(), response);
        }
        self.parameters.into_iter().fold(operation, |operation, parameter| {
            let values = self.examples.iter().filter(|of| of.is_right() && parameter.parameter_in != ParameterIn::Path);
            let values = values.filter_map(|of| Some((of.name.to_owned(), of.value(&parameter)?)));
            let parameter = with_examples(parameter.clone(), values);
            operation.parameter(parameter)
        })
    }

    fn request_body(&self) -> Option<RequestBody> {
        let schema = self.body?;
        let examples = self.examples.iter().filter(|example| example.is_right()).filter_map(|example| {
            let value = example.body.clone()?;
            Some((example.name, ExampleBuilder::new().summary(example.summary).value(Some(value)).build()))
        });
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).examples_from_iter(examples);
        let body = RequestBodyBuilder::new().content("application/json", content.build());
        Some(body.required(Some(Required::True)).build())
    }

    /// A whole request of an example, with the status of its answer.
    fn request(&self, example: &Example) -> Value {
        let mut path = self.path.clone();
        for parameter in self.parameters.iter().filter(|of| of.parameter_in == ParameterIn::Path) {
            let value = example.value(parameter);
            let value = value.as_ref().and_then(Value::as_str).unwrap_or_default();
            path = path.replace(&format!("{{{}}}", parameter.name), &segment(value).to_string());
        }
        if !example.query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&example.query).finish();
            path = format!("{path}?{query}");
        }
        let token = example.has_token.then_some(("X-Auth-Token", TOKEN_VARIABLE)).filter(|_| self.needs_token);
        let content_type = example.body.is_some().then_some(("Content-Type", "application/json"));
        let headers = token.into_iter().chain(content_type).chain(example.headers.iter().copied());
        let headers: serde_json::Map<_, _> = headers.map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let mut request = json!({
            "name": example.name, "summary": example.summary, "method": self.verb.name(), "path": path, "headers": headers,
        });
        if let Some(body) = &example.body {
            request["body"] = body.clone();
        }
        request["status"] = json!(example.status);
        request
    }
}
