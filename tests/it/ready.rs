//! What is kept in memory is what the store holds: whatever is written by many at once, at each quiet moment lists and
//! documents are those that the documents on disk make.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::join_all;
use serde_json::json;

use crate::common::{Kind, TestStore, block_on, document};
use crossbar_groups::document::{DbName, DocId, Document, json as raw_json};
use crossbar_groups::kazoo::views;
use crossbar_groups::store::{Attachments, Error, Query, Row, SharedServer, View};

const GROUPS: usize = 40;
const USERS: usize = 6;

async fn rows(store: &SharedServer, database: &DbName, view: &View, query: Query) -> Vec<Row> {
    store.rows(database, view, query).try_collect().await.unwrap()
}

/// The rows that a view has of what is on disk, in their order: keys and ids are of letters and digits, which collate as
/// they sort.
async fn on_disk(store: &SharedServer, database: &DbName, view: &View) -> Vec<(String, String, String)> {
    let documents = store.dump(database, None, 10_000, Attachments::Named).await.unwrap().unwrap();
    let mut rows = BTreeSet::new();
    for document in documents {
        (view.map)(&document, &mut |key, value| {
            rows.insert((key.to_owned(), document.id().unwrap(), value.get().to_owned()));
        });
    }
    rows.into_iter().collect()
}

fn told(rows: &[Row]) -> Vec<(String, String, String)> {
    rows.iter().map(|row| (row.key.to_string(), row.id.to_string(), row.value.get().to_owned())).collect()
}

/// Makes, changes, hides or makes another thing of a group, as it was read a moment ago.
async fn write(store: &SharedServer, database: &DbName, random: &mut fastrand::Rng) {
    let id = format!("g{:02}", random.usize(..GROUPS));
    let found = store.get(database, &id.parse::<DocId>().unwrap()).await.unwrap();
    let mut group = found.map_or_else(|| document(json!({"_id": id})), Arc::unwrap_or_clone);
    let users = (0..random.usize(..USERS)).map(|_| (format!("u{}", random.usize(..USERS)), json!({"type": "user"})));
    group.set("endpoints", raw_json::raw(&serde_json::Value::Object(users.collect())));
    group.set_text("name", &random.u32(..).to_string());
    group.set_text("pvt_type", if random.usize(..8) == 0 { "device" } else { "group" });
    group.set("pvt_deleted", raw_json::raw(&(random.usize(..8) == 0)));
    match store.put(database, &group).await {
        Ok(_) | Err(Error::Conflict) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn must_be_as_on_disk(store: &SharedServer, database: &DbName, view: &View) {
    let expected = on_disk(store, database, view).await;
    for batch in [1, 3, 1_000] {
        let found = rows(store, database, view, Query::all().batch(batch).with_documents()).await;
        assert_eq!(told(&found), expected);
        for row in &found {
            let document = store.get(database, &row.id.parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(row.document.as_ref().unwrap().to_json(), document.to_json());
        }
        let mut back = told(&rows(store, database, view, Query::all().batch(batch).descending()).await);
        back.reverse();
        assert_eq!(back, expected);
    }
    for user in (0..USERS).map(|user| format!("u{user}")) {
        let of_user: Vec<_> = expected.iter().filter(|(key, ..)| *key == user).cloned().collect();
        assert_eq!(told(&rows(store, database, view, Query::of_key(&user)).await), of_user);
        let from = of_user.get(1).map_or("g", |(_, id, _)| id.as_str());
        let rest: Vec<_> = of_user.iter().filter(|(_, id, _)| id.as_str() >= from).cloned().collect();
        assert_eq!(told(&rows(store, database, view, Query::of_key_from(&user, from)).await), rest);
    }
    let documents: Vec<Document> = store.dump(database, None, 10_000, Attachments::Named).await.unwrap().unwrap();
    for document in documents.iter().filter(|document| document.id().unwrap().starts_with('g')) {
        let found = store.get(database, &document.id().unwrap().parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(found.to_json(), document.to_json());
    }
}

#[test]
fn at_each_quiet_moment_memory_holds_what_the_disk_does() {
    let test = TestStore::new(Kind::Embedded);
    let (store, database) = (test.store(), test.account().database());
    block_on(async {
        let mut versions = BTreeSet::new();
        for round in 0..12 {
            let writers = (0..8).map(|writer| {
                let (store, database) = (Arc::clone(&store), database.clone());
                let mut random = fastrand::Rng::with_seed(round * 100 + writer);
                // lists are read from the first moment on, so rows are loaded while they change
                async move {
                    for _ in 0..10 {
                        write(&store, &database, &mut random).await;
                        let view = if random.bool() { views::GROUPS } else { views::GROUPS_BY_USER };
                        rows(&store, &database, &view, Query::all()).await;
                    }
                }
            });
            join_all(writers).await;
            for view in [views::GROUPS, views::GROUPS_BY_USER] {
                must_be_as_on_disk(&store, &database, &view).await;
            }
            versions.insert(store.version(&database).expect("it is kept"));
        }
        assert_eq!(versions.len(), 12);
        let before = store.version(&database);
        must_be_as_on_disk(&store, &database, &views::GROUPS).await;
        assert_eq!(store.version(&database), before);
        store.load(&database, vec![document(json!({"_id": "loaded", "pvt_type": "group"}))]).await.unwrap();
        assert_ne!(store.version(&database), before);
        must_be_as_on_disk(&store, &database, &views::GROUPS).await;
    });
}
