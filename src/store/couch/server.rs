//! What operators need of a CouchDB: its databases and whole documents, and what it is.

use std::collections::HashMap;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::fmt::rfc2822;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::document::{DbName, Document, Revision, json};

use super::super::{ATTACHMENTS, Attachments, DESIGN, Entry, Error, Loaded, Nodes, Result, Server, ServerInfo};
use super::Couch;
use super::answer::{Answer, Refusal, Said};
use super::node::Node;
use super::request::{Pace, Request};

impl Couch {
    /// A document with its attachments inline, named by content type and data alone.
    async fn with_attachments(&self, database: &DbName, document: Document) -> Result<Document> {
        if !document.contains(ATTACHMENTS) {
            return Ok(document);
        }
        let id = document.id().unwrap_or_default();
        let path = match id.strip_prefix(DESIGN) {
            Some(name) => vec![database.as_str(), "_design", name],
            None => vec![database.as_str(), id.as_str()],
        };
        let request = Request::get(&path).parameters([("attachments", "true".to_owned())]).pace(Pace::Long);
        // deleted meanwhile: as it was a moment ago
        let Some(mut whole) = self.read(&request, Answer::document).await? else { return Ok(document) };
        let attachments = whole.get(ATTACHMENTS).and_then(Document::from_raw).unwrap_or_default();
        let inline: Document = attachments
            .into_iter()
            .map(|(name, raw)| {
                let mut attachment = Document::from_raw(&raw).unwrap_or_default();
                attachment.retain(|key| matches!(key, "content_type" | "data"));
                (name, attachment.to_raw())
            })
            .collect();
        whole.set(ATTACHMENTS, inline.to_raw());
        Ok(whole)
    }

    /// The revisions of those of some documents that are there.
    async fn revisions(&self, database: &DbName, ids: &[String]) -> Result<HashMap<String, String>> {
        let body = json::encode(&serde_json::json!({ "keys": ids }));
        let request = Request::new(Method::POST, &[database.as_str(), "_all_docs"]).body(body).pace(Pace::Long);
        let listing = self.ask(&request, |answer| answer.listing::<RevisionRow>()).await?.done()?;
        let is_there = |row: RevisionRow| Some((row.id?, row.value.filter(|value| !value.deleted)?.rev));
        Ok(listing.rows.into_iter().filter_map(is_there).collect())
    }
}

impl Couch {
    /// [`Store::dump`](super::super::Store::dump)
    pub(super) async fn documents_after(
        &self,
        database: &DbName,
        after: Option<&str>,
        limit: usize,
        attachments: Attachments,
    ) -> Result<Option<Vec<Document>>> {
        let mut parameters = vec![("include_docs", "true".to_owned()), ("limit", (limit + 1).to_string())];
        if matches!(attachments, Attachments::Named) {
            parameters.push(("conflicts", "true".to_owned()));
        }
        if let Some(after) = after {
            parameters.push(("startkey", json::encode(after)));
        }
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters).pace(Pace::Long);
        let Some(listing) = self.read(&request, |answer| answer.listing::<IdRow>()).await? else { return Ok(None) };
        let fresh = listing.rows.into_iter().filter(|row| Some(row.id.as_str()) != after).take(limit);
        let documents = fresh.filter_map(|row| row.doc);
        if matches!(attachments, Attachments::Named) {
            return Ok(Some(documents.collect()));
        }
        let mut whole = Vec::new();
        for document in documents {
            whole.push(self.with_attachments(database, document).await?);
        }
        Ok(Some(whole))
    }
}

#[async_trait]
impl Server for Couch {
    fn has_native_views(&self) -> bool {
        false
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        match self.ask(&Request::new(Method::PUT, &[database.as_str()]), Answer::made).await? {
            // it is there already
            Said::Refused(Refusal { status: StatusCode::PRECONDITION_FAILED, .. }) => Ok(()),
            said => said.done(),
        }
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<Loaded> {
        let documents: Vec<Document> = documents.into_iter().map(with_some_revision).collect();
        let ids: Vec<String> = documents.iter().filter_map(Document::id).collect();
        // CouchDB does not tell what became of them
        let before = self.revisions(database, &ids).await?;
        let body = json::encode(&Replicated { new_edits: false, docs: &documents });
        let request = Request::new(Method::POST, &[database.as_str(), "_bulk_docs"]).body(body).pace(Pace::Long);
        let refused = self.ask(&request, Answer::not_loaded).await?.done()?;
        match refused.iter().find(|document| document.get("error").is_some()) {
            Some(document) => Err(Error::Refused(document.to_string())),
            None => {
                let after = self.revisions(database, &ids).await?;
                let mut loaded = Loaded::default();
                for id in &ids {
                    loaded.count(before.get(id), after.get(id));
                }
                Ok(loaded)
            }
        }
    }

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        // the character after the slash is a zero
        let first = json::encode(DESIGN);
        let last = json::encode("_design0");
        let parameters = [("startkey", first), ("endkey", last), ("include_docs", "true".to_owned())];
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters).pace(Pace::Slow);
        let Some(listing) = self.read(&request, |answer| answer.listing::<IdRow>()).await? else { return Ok(None) };
        Ok(Some(listing.rows.into_iter().filter_map(|row| row.doc).collect()))
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().unwrap_or_default();
        let name = id.strip_prefix(DESIGN).ok_or_else(|| Error::Refused(format!("{id:?} is no design document")))?;
        self.write(database, &["_design", name], document).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        let names = self.ask(&Request::get(&["_all_dbs"]).pace(Pace::Long), Answer::names).await?.done()?;
        // CouchDB's own names are no names of databases here
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn info(&self) -> Result<ServerInfo> {
        let greeting = self.ask(&Request::get(&[]), Answer::greeting).await?.done()?;
        // only an administrator may ask, and not every server knows
        let membership = self.read(&Request::get(&["_membership"]), Answer::membership).await.ok().flatten();
        let date = greeting.date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(&date).ok());
        Ok(ServerInfo::Couch {
            version: greeting.version,
            nodes: membership.map(|of| Nodes { cluster: of.cluster_nodes, connected: of.all_nodes }),
            time: date.map(SystemTime::from),
            failing: join_all(self.nodes.all().map(failing)).await.into_iter().flatten().collect(),
        })
    }

    fn snapshot(&self) -> BoxStream<'static, Result<Entry>> {
        let text = "a CouchDB has no snapshot of all its databases: replicate it to another, or copy it by `migrate`";
        stream::once(async { Err(Error::Refused(text.to_owned())) }).boxed()
    }
}

#[derive(Serialize)]
struct Replicated<'a> {
    new_edits: bool,
    docs: &'a [Document],
}

/// What `_all_docs` tells of a document that was asked for by its id.
#[derive(Deserialize)]
struct RevisionRow {
    id: Option<String>,
    value: Option<RevisionValue>,
}

#[derive(Deserialize)]
struct RevisionValue {
    rev: String,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct IdRow {
    id: String,
    doc: Option<Document>,
}

/// A document that came without a revision gets one of what it holds, so that loading it again changes nothing.
fn with_some_revision(mut document: Document) -> Document {
    if !document.contains("_rev") {
        let revision = document.next_revision(None);
        document.set_text("_rev", &revision.to_string());
    }
    document
}

/// A node that does not greet as it should, and why.
async fn failing(node: &Node) -> Option<String> {
    let error = node.greeting().await.err()?;
    Some(format!("{}: {error}", node.name()))
}
