//! Attempts to sign in, as Kazoo writes them down for auditors: a document each, in the account's database of the
//! month (`crossbar_auth:log_attempts`).

use crate::document::{DbName, DocId, Document, json};

use super::account::AccountId;
use super::sign_in::{Method, Outcome};
use super::time;

/// Headers that tell secrets: they are left out.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-auth-token"];

/// Fields of what was sent that tell secrets: they are left out.
const SECRET_FIELDS: [&str; 3] = ["credentials", "api_key", "password"];

/// Who asked.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The client's address.
    pub address: String,
    /// The headers of the request, their names in lower case.
    pub headers: Document,
    /// The request's id.
    pub request_id: String,
}

/// An attempt to sign in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The account that it was made on.
    pub account: AccountId,
    /// By which method.
    pub method: Method,
    /// How it ended.
    pub outcome: Outcome,
    /// What was looked at last: `credentials`, `account_api_token`, `jwt_auth_token`, `multi_factor`.
    pub auth_type: &'static str,
    /// Why it ended so, for people.
    pub message: String,
    /// Whom it was for, or what was sent.
    pub metadata: Document,
    /// Who made it.
    pub client: Client,
}

impl Attempt {
    /// The account's database of the month of `now` (gregorian seconds).
    pub fn database(&self, now: i64) -> DbName {
        let name = format!("{}-{}", self.account.database(), time::year_and_month(now));
        name.parse().unwrap_or_else(|_| unreachable!("digits and a dash are a database's name"))
    }

    /// The document, made at `now` (gregorian seconds) by `node`; `unique` is a new id, to which the month is put.
    pub fn document(&self, now: i64, unique: &DocId, node: &str) -> Document {
        let database = self.database(now).encoded();
        let mut headers = self.client.headers.clone();
        headers.retain(|name| !SECRET_HEADERS.contains(&name));
        let mut metadata = self.metadata.clone();
        metadata.retain(|name| !SECRET_FIELDS.contains(&name));

        let mut document = Document::new();
        document.set_text("_id", &format!("{}-{unique}", time::year_and_month(now)));
        document.set_text("auth_type", self.auth_type);
        document.set_text(
            "status",
            match self.outcome {
                Outcome::Success => "success",
                Outcome::Failed => "failed",
            },
        );
        document.set_text("auth_module", self.method.module());
        document.set_text("message", &self.message);
        document.set("client_headers", headers.to_raw());
        document.set_text("client_ip", &self.client.address);
        document.set_text("crossbar_request_id", &self.client.request_id);
        document.set("timestamp", json::raw(&now));
        if !metadata.is_empty() {
            document.set("metadata", metadata.to_raw());
        }
        document.set_text("pvt_type", "login_attempt");
        document.set_text("pvt_account_id", self.account.as_str());
        document.set_text("pvt_account_db", &database);
        document.set("pvt_created", json::raw(&now));
        document.set("pvt_modified", json::raw(&now));
        document.set_text("pvt_node", node);
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_written_down() {
        let document = |text: &str| Document::parse(text).unwrap();
        let attempt = Attempt {
            account: "3e30d852896b2a7fd6dd579074f12a3b".parse().unwrap(),
            method: Method::Credentials,
            outcome: Outcome::Failed,
            auth_type: "credentials",
            message: "no".to_owned(),
            metadata: document(r#"{"credentials":"s3cret","account_name":"birch"}"#),
            client: Client {
                address: "192.0.2.1".to_owned(),
                headers: document(r#"{"accept":"*/*","authorization":"s3cret","x-auth-token":"s3cret"}"#),
                request_id: "r".to_owned(),
            },
        };
        // 2026-11-24
        let now = 63_962_767_634;
        assert_eq!(attempt.database(now).as_str(), "account/3e/30/d852896b2a7fd6dd579074f12a3b-202611");
        let written = attempt.document(now, &"ab".parse().unwrap(), "node").to_json();
        assert!(!written.contains("s3cret"), "{written}");
        let start = r#"{"_id":"202611-ab","auth_type":"credentials","status":"failed","auth_module":"cb_user_auth","#;
        assert!(written.starts_with(start), "{written}");
        assert!(written.contains(r#""client_headers":{"accept":"*/*"}"#) && written.contains(r#"{"account_name""#));
    }
}
