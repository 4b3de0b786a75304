//! Every recorded exchange with a real Kazoo 4.3, on every store: the answers, and what the store holds afterwards.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::common::recording::{self, Stored};
use crate::common::{TestApp, block_on, couchdb_url, database_url, fixtures, import, seed_files};
use crossbar_groups::document::DocId;
use crossbar_groups::kazoo::views;
use crossbar_groups::store::SharedServer;
use crossbar_groups::store::couch::{Couch, CouchOptions};
use crossbar_groups::store::embedded::Embedded;

/// How many scenarios were recorded: a file that gets lost is missed.
const RECORDED: usize = 393;

/// Plays every scenario, each on a store that `seeded` gives, and tells all that differ.
fn replay(mut seeded: impl FnMut() -> SharedServer, read: impl Fn(&SharedServer, &Stored) -> Value) {
    let (scenarios, variables) = (recording::scenarios(), recording::variables());
    assert_eq!(scenarios.len(), RECORDED);
    let files = fs::read_dir(fixtures().join("exchanges")).unwrap().count();
    assert_eq!(scenarios.len(), files);
    let mut different = Vec::new();
    for scenario in scenarios {
        let store = seeded();
        let app = TestApp::unlimited(Arc::clone(&store));
        let played = scenario.play(app.address, &variables);
        drop(app);
        let differs = played.and_then(|stored| stored.iter().try_for_each(|of| of.check(&read(&store, of)))).err();
        different.extend(differs);
    }
    assert!(different.is_empty(), "{} scenarios differ:\n{}", different.len(), different.join("\n"));
}

fn read(store: &SharedServer, stored: &Stored) -> Value {
    let id: DocId = stored.id.parse().unwrap();
    let document = block_on(store.get(&stored.database.parse().unwrap(), &id)).unwrap();
    recording::json(&document.map_or_else(|| "null".to_owned(), |document| document.to_json()))
}

#[test]
fn every_recorded_exchange_holds_on_the_embedded_store() {
    let template = tempfile::tempdir().unwrap();
    block_on(import(&Embedded::open(template.path(), views::ALL).unwrap(), seed_files()));
    let copies = tempfile::tempdir().unwrap();
    let mut number = 0;
    let seeded = || -> SharedServer {
        number += 1;
        let folder = copies.path().join(number.to_string());
        copy(template.path(), &folder);
        Arc::new(Embedded::open(&folder, views::ALL).unwrap())
    };
    replay(seeded, read);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn every_recorded_exchange_holds_on_couchdb() {
    let Some(url) = couchdb_url() else { return };
    let couch = || Couch::new(&[&url], &CouchOptions::default()).unwrap();
    block_on(import(&couch(), seed_files()));
    let accounts: Vec<Seeded> = seed_files().iter().filter_map(|file| Seeded::of_account(file)).collect();
    let seeded = || -> SharedServer {
        accounts.iter().for_each(|account| account.restore(&url));
        Arc::new(couch())
    };
    // what the service wrote is read by a client of its own
    replay(seeded, |_, stored| read(&(Arc::new(couch()) as SharedServer), stored));
}

/// An account's database as the seed has it.
struct Seeded {
    database: String,
    documents: BTreeMap<String, Value>,
}

impl Seeded {
    fn of_account(file: &Path) -> Option<Self> {
        let dump: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let database = dump["db"].as_str().unwrap().to_owned();
        let id = |document: &Value| document["_id"].as_str().unwrap().to_owned();
        let documents = dump["docs"].as_array().unwrap().iter().map(|of| (id(of), of.clone())).collect();
        database.starts_with("account/").then_some(Self { database, documents })
    }

    /// Puts back what a scenario changed, over CouchDB's own HTTP.
    fn restore(&self, url: &str) {
        let base = database_url(url, &self.database);
        let client = reqwest::Client::new();
        block_on(async {
            let all = client.get(format!("{base}/_all_docs?include_docs=true")).send().await.unwrap();
            let all = recording::json(&all.text().await.unwrap());
            let mut changed = Vec::new();
            for row in all["rows"].as_array().unwrap() {
                let (id, revision) = (row["id"].as_str().unwrap(), &row["value"]["rev"]);
                match self.documents.get(id) {
                    _ if id.starts_with('_') => {}
                    None => changed.push(json!({ "_id": id, "_rev": revision, "_deleted": true })),
                    Some(seeded) if without_revision(seeded) != without_revision(&row["doc"]) => {
                        let mut seeded = seeded.clone();
                        seeded["_rev"] = revision.clone();
                        changed.push(seeded);
                    }
                    Some(_) => {}
                }
            }
            if !changed.is_empty() {
                let body = json!({ "docs": changed }).to_string();
                let request = client.post(format!("{base}/_bulk_docs")).header("Content-Type", "application/json");
                assert!(request.body(body).send().await.unwrap().status().is_success());
            }
        });
    }
}

fn without_revision(document: &Value) -> HashMap<&String, &Value> {
    document.as_object().unwrap().iter().filter(|(key, _)| *key != "_rev").collect()
}
