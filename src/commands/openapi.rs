//! `openapi`: what the API is, for tools that need no service to learn it.

use crossbar_groups::config::OpenapiArguments;
use crossbar_groups::openapi::{document, postman};

use super::output::print_json;

/// Prints the document, or the collection that is made of it.
pub fn openapi(arguments: &OpenapiArguments) -> anyhow::Result<()> {
    let document = document();
    if arguments.postman {
        print_json(&postman::collection(&document, &arguments.address))
    } else {
        print_json(&document)
    }
}
