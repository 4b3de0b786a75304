//! What operators need of a CouchDB: its databases and whole documents, and what it is.

use std::time::SystemTime;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt};
use jiff::fmt::rfc2822;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::document::{DbName, Document, Revision, json};

use super::super::{ATTACHMENTS, Attachments, DESIGN, Entry, Error, Nodes, Result, Server, ServerInfo};
use super::nodes::Node;
use super::request::{Answer, Request, answered};
use super::{Couch, Listing};

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
        let request = Request::get(&path).parameters([("attachments", "true".to_owned())]).long();
        // deleted meanwhile: as it was a moment ago
        let Some(answer) = self.read(request).await?.found() else { return Ok(document) };
        let mut whole = answer.json::<Document>()?;
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
}

#[async_trait]
impl Server for Couch {
    fn has_native_views(&self) -> bool {
        false
    }

    async fn create(&self, database: &DbName) -> Result<()> {
        let answer = self.send(Request::new(Method::PUT, &[database.as_str()])).await?;
        // 412: it is there already
        if answer.status == StatusCode::PRECONDITION_FAILED { Ok(()) } else { answer.accepted().map(drop) }
    }

    async fn load(&self, database: &DbName, documents: Vec<Document>) -> Result<()> {
        let documents: Vec<Document> = documents.into_iter().map(with_some_revision).collect();
        let body = json::encode(&Replicated { new_edits: false, docs: &documents });
        let request = Request::new(Method::POST, &[database.as_str(), "_bulk_docs"]).body(body).long();
        let answer = self.send(request).await?.accepted()?;
        // the answer names only what was not written
        let refused: Vec<serde_json::Value> = answer.json().unwrap_or_default();
        match refused.iter().find(|document| document.get("error").is_some()) {
            Some(document) => Err(Error::Refused(document.to_string())),
            None => Ok(()),
        }
    }

    async fn dump(
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
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters).long();
        let Some(answer) = self.read(request).await?.found() else { return Ok(None) };
        let rows = answer.json::<Listing<IdRow>>()?.rows;
        let fresh = rows.into_iter().filter(|row| Some(row.id.as_str()) != after).take(limit);
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

    async fn design_documents(&self, database: &DbName) -> Result<Option<Vec<Document>>> {
        // the character after the slash is a zero
        let first = json::encode(DESIGN);
        let last = json::encode("_design0");
        let parameters = [("startkey", first), ("endkey", last), ("include_docs", "true".to_owned())];
        let request = Request::get(&[database.as_str(), "_all_docs"]).parameters(parameters);
        let Some(answer) = self.read(request).await?.found() else { return Ok(None) };
        let rows = answer.json::<Listing<IdRow>>()?.rows;
        Ok(Some(rows.into_iter().filter_map(|row| row.doc).collect()))
    }

    async fn put_design(&self, database: &DbName, document: &Document) -> Result<Revision> {
        let id = document.id().unwrap_or_default();
        let name = id.strip_prefix(DESIGN).ok_or_else(|| Error::Refused(format!("{id:?} is no design document")))?;
        self.write(database, &["_design", name], document).await
    }

    async fn databases(&self) -> Result<Vec<DbName>> {
        let names: Vec<String> = self.read(Request::get(&["_all_dbs"]).long()).await?.json()?;
        // CouchDB's own names are no names of databases here
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn info(&self) -> Result<ServerInfo> {
        #[derive(Deserialize)]
        struct Greeting {
            version: String,
        }
        #[derive(Deserialize)]
        struct Membership {
            all_nodes: Vec<String>,
            cluster_nodes: Vec<String>,
        }

        let answer = self.read(Request::get(&[])).await?;
        let greeting: Greeting = answer.json()?;
        // only an administrator may ask, and not every server knows
        let membership = self.read(Request::get(&["_membership"])).await.ok();
        let membership = membership.and_then(|answer| answer.found()?.json::<Membership>().ok());
        let date = answer.date.as_ref().and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
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

/// A node that does not answer as it should, and why.
async fn failing(node: &Node) -> Option<String> {
    let answer = answered(Request::get(&[]).to(node.client())).await.map_err(|failure| failure.error);
    let error = answer.and_then(Answer::accepted).err()?;
    Some(format!("{}: {error}", node.name()))
}
