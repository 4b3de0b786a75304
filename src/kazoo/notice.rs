//! The notice of a change that Kazoo's nodes listen for: they keep documents in memory, and drop one when they hear
//! that it was written.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::document::{DbName, Document, Revision, json};

use super::account::AccountId;
use super::documents::is_deleted;

/// The topic exchange that notices go to.
pub const EXCHANGE: &str = "configuration";

/// What a notice's body is.
pub const CONTENT_TYPE: &str = "application/json";

/// The name and version that Kazoo's notices give as their sender's.
const APP: (&str, &str) = ("datamgr", "4.0.0");

/// The cache that Kazoo's notices come from. A node ignores what its own name and this cache sent.
const ORIGIN_CACHE: &str = "kazoo_data_cache";

/// What stays as it is in a document's id within a routing key. A space becomes a plus sign.
const ID_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'~').remove(b'_');

/// How many bytes a routing key may have in AMQP.
const LONGEST_ROUTING_KEY: usize = 255;

/// A notice, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `doc_edited.{database}.{type}.{id}`: what listeners select by.
    pub routing_key: String,
    /// One line of JSON.
    pub body: String,
}

impl Notice {
    /// The notice of a document that was written as `revision`: that it was deleted (softly or not), created if it
    /// had no revision before, or edited. `node` is the sender's name, `message_id` a new one. None for what is no
    /// document of Kazoo's: without an id, or with one of CouchDB's own.
    pub fn of(
        database: &DbName,
        document: &Document,
        revision: &Revision,
        node: &str,
        message_id: &str,
    ) -> Option<Self> {
        let id = document.id().filter(|id| !id.starts_with('_'))?;
        let is_soft_deleted = is_deleted(document);
        let event = if is_soft_deleted || document.is_true("_deleted") {
            "doc_deleted"
        } else if document.contains("_rev") {
            "doc_edited"
        } else {
            "doc_created"
        };
        let encoded_database = database.encoded();
        let kind = document.text("pvt_type");
        let account = document.text("pvt_account_id").and_then(|id| id.parse().ok());
        let account = account.or_else(|| AccountId::of_database(database));

        // a document without a type is `undefined` to Kazoo, and so in its routing keys
        let segment = utf8_percent_encode(&id, ID_SEGMENT).to_string().replace("%20", "+");
        let mut routing_key =
            format!("{event}.{encoded_database}.{}.{segment}", kind.as_deref().unwrap_or("undefined"));
        // AMQP has no room for more; the body says which document it is
        while routing_key.len() > LONGEST_ROUTING_KEY {
            routing_key.pop();
        }

        let mut body = json!({
            "Event-Category": EXCHANGE,
            "Event-Name": event,
            "App-Name": APP.0,
            "App-Version": APP.1,
            "Node": node,
            "Msg-ID": message_id,
            "ID": id,
            "Type": kind,
            "Database": encoded_database,
            "Account-ID": account.map(|id| id.to_string()),
            "Rev": revision.to_string(),
            "Is-Soft-Deleted": is_soft_deleted,
            "Date-Created": document.integer("pvt_created"),
            "Date-Modified": document.integer("pvt_modified"),
            "Origin-Cache": ORIGIN_CACHE,
        });
        if let Some(fields) = body.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        Some(Self { routing_key, body: json::encode(&body) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "3e30d852896b2a7fd6dd579074f12a3b";

    fn notice(database: &str, document: serde_json::Value) -> Option<(String, serde_json::Value)> {
        let document = Document::parse(&document.to_string()).unwrap();
        let revision = "2-f43b".parse().unwrap();
        let notice = Notice::of(&database.parse().unwrap(), &document, &revision, "node@host", "0b5e1201b45abf46")?;
        Some((notice.routing_key, serde_json::from_str(&notice.body).unwrap()))
    }

    fn account_database() -> String {
        ACCOUNT.parse::<AccountId>().unwrap().database().to_string()
    }

    #[test]
    fn a_deleted_document_is_told_to_be_deleted_whether_it_is_new_or_not() {
        for (document, name) in [
            (json!({ "_id": "g" }), "doc_created"),
            (json!({ "_id": "g", "_rev": "1-a" }), "doc_edited"),
            (json!({ "_id": "g", "_rev": "1-a", "pvt_deleted": false }), "doc_edited"),
            (json!({ "_id": "g", "_rev": "1-a", "pvt_deleted": true }), "doc_deleted"),
            (json!({ "_id": "g", "pvt_deleted": true }), "doc_deleted"),
            (json!({ "_id": "g", "_rev": "1-a", "_deleted": true }), "doc_deleted"),
        ] {
            let (key, body) = notice("accounts", document).unwrap();
            assert_eq!(body["Event-Name"], name);
            assert_eq!(key, format!("{name}.accounts.undefined.g"));
        }
    }

    #[test]
    fn what_a_document_does_not_say_is_left_out() {
        let (_, body) = notice("accounts", json!({ "_id": "g" })).unwrap();
        for field in ["Type", "Account-ID", "Date-Created", "Date-Modified"] {
            assert_eq!(body.get(field), None, "{field}");
        }
        let (_, body) = notice(&account_database(), json!({ "_id": "g", "pvt_account_id": "nobody" })).unwrap();
        assert_eq!(body["Account-ID"], ACCOUNT);
    }

    #[test]
    fn an_id_is_one_word_of_a_routing_key_that_amqp_takes() {
        let key = |id: &str| notice("accounts", json!({ "_id": id, "pvt_type": "group" })).unwrap().0;
        assert_eq!(key("a.b c/é*#+-_~"), "doc_created.accounts.group.a%2Eb+c%2F%C3%A9%2A%23%2B-_~");
        assert_eq!(key(&"é".repeat(128)).len(), LONGEST_ROUTING_KEY);
        assert_eq!(notice("accounts", json!({ "_id": "_design/groups" })), None);
    }
}
