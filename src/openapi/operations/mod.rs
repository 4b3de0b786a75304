//! The operations, in the order in which the tests try their examples.

mod groups;
mod others;

use crate::api::Error;
use crate::auth;
use crate::kazoo::kind::GROUPS;
use crate::kazoo::verb::Verb;

use super::answers::{self, Given};
use super::operation::Operation;
use super::parameters;

const SIGN_IN: &str = "sign-in";
const SCHEMAS: &str = "schemas";
const SERVICE: &str = "service";

/// What operations are about.
pub const TAGS: [(&str, &str); 4] = [
    (GROUPS.noun, "The groups of an account, and of a user."),
    (SIGN_IN, "A token for credentials."),
    (SCHEMAS, "What groups and sign-ins are checked by."),
    (SERVICE, "What answers, and how it is."),
];

/// The forms of an answer: a media type each, and the name of a schema.
type Forms = &'static [(&'static str, &'static str)];

const NOT_MODIFIED: Given = Given::nothing(304, "It is what the client has.");
const NO_ROWS: Given = Given::nothing(204, "A table without rows.");

/// All of them.
pub fn operations() -> Vec<Operation> {
    groups::operations().into_iter().chain(others::operations()).collect()
}

/// An operation on something of an account.
fn on_account(id: &'static str, verb: Verb, path: &str) -> Operation {
    let mut errors = answers::of_every_request();
    errors.extend(answers::of_accounts());
    let mut parameters = vec![parameters::account_id()];
    parameters.extend(parameters::of_every_answer());
    if verb == Verb::Get {
        parameters.extend(parameters::of_reading());
    }
    Operation {
        id,
        verb,
        path: path.to_owned(),
        tag: GROUPS.noun,
        summary: "",
        description: "",
        parameters,
        body: None,
        needs_token: true,
        given: Vec::new(),
        errors,
        examples: Vec::new(),
    }
}

/// An operation for which it need not be known who asks.
fn open(id: &'static str, verb: Verb, path: &str, tag: &'static str) -> Operation {
    let mut operation = on_account(id, verb, path);
    operation.parameters.remove(0);
    let mut errors = answers::of_every_request();
    errors.push(Error::Auth(auth::Error::Restricted));
    Operation { tag, needs_token: false, errors, ..operation }
}
