//! The schemas that documents are checked by, to be read and tried.

use crate::document::{Document, json};
use crate::kazoo::group;
use crate::kazoo::schema::{self, Schema};

use super::answer::{Answer, Data};
use super::error::Error;
use super::incoming::Incoming;

/// `GET /v2/schemas`
pub fn list() -> Answer {
    Answer { data: Data::List(schema::ALL.iter().map(|schema| json::raw(schema.name)).collect()), ..Answer::default() }
}

/// `GET /v2/schemas/{name}`
pub fn read(name: &str) -> Result<Answer, Error> {
    let schema = named(name)?.document();
    let revision = schema.next_revision(None);
    let mut shown = schema;
    shown.set_text("id", name);
    Ok(Answer::document(shown.to_raw(), Some(revision)))
}

/// `PUT /v2/schemas/{name}/validation`: data with its defaults, or what is wrong with them.
pub fn validate(incoming: &Incoming, name: &str) -> Result<Answer, Error> {
    let schema = named(name)?;
    let data = incoming.data();
    let valid = match Document::from_raw(data) {
        Some(data) => schema.validate(group::submitted(data))?,
        None => schema.validate_raw(data)?,
    };
    if incoming.only_reads() {
        return Err(Error::NotFound);
    }
    Ok(Answer { created: true, ..Answer::document(valid.to_raw(), None) })
}

fn named(name: &str) -> Result<Schema, Error> {
    Schema::named(name).ok_or_else(|| Error::BadIdentifier(name.to_owned()))
}
