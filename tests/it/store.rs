//! What every store does, whichever it is: one list of behaviours, run on each.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::common::{Kind, TestStore, block_on, couchdb_url, database_url, document, new_id, seed_files};
use crossbar_groups::databases::prepare;
use crossbar_groups::document::{DbName, DocId, Document, Revision, json as raw_json};
use crossbar_groups::dump::Dump;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::views;
use crossbar_groups::store::{Attachments, Error, Place, Query, Row, SharedServer, View};

fn on_every_store(test: impl Fn(&TestStore)) {
    for kind in Kind::all() {
        test(&TestStore::new(kind));
    }
}

fn id(text: &str) -> DocId {
    text.parse().unwrap()
}

async fn all_rows(store: &SharedServer, database: &DbName, view: &View, query: Query) -> Vec<Row> {
    store.rows(database, view, query).try_collect().await.unwrap()
}

#[test]
fn a_document_is_written_once_for_each_revision() {
    on_every_store(|test| {
        let (store, database) = (test.store(), test.account().database());
        block_on(async {
            let mut document = document(json!({"_id": "a b/c".replace('/', "%"), "n": 1}));
            let id = id(&document.id().unwrap());
            assert!(store.get(&database, &id).await.unwrap().is_none());
            let first = store.put(&database, &document).await.unwrap();
            assert_eq!(first.number(), 1);
            assert!(matches!(store.put(&database, &document).await, Err(Error::Conflict)));

            let stored = store.get(&database, &id).await.unwrap().unwrap();
            assert_eq!(stored.revision(), Some(first.clone()));
            document.set_text("_rev", &first.to_string());
            document.set("n", raw_json::raw(&2));
            let second = store.put(&database, &document).await.unwrap();
            assert_eq!(second.number(), 2);
            assert!(matches!(store.put(&database, &document).await, Err(Error::Conflict)), "stale");
            assert_eq!(store.get(&database, &id).await.unwrap().unwrap().integer("n"), Some(2));
        });
    });
}

#[test]
fn a_document_is_kept_as_it_is() {
    let text = r#"{"_id":"x","z":{"b":1,"a":[123456789012345678901234567890,1.5,null,"é\u0000\\"]},"a":true}"#;
    on_every_store(|test| {
        let (store, database) = (test.store(), test.account().database());
        block_on(async {
            store.put(&database, &Document::parse(text).unwrap()).await.unwrap();
            let stored = store.get(&database, &id("x")).await.unwrap().unwrap();
            let keys: Vec<&str> = stored.iter().map(|(key, _)| key).filter(|key| !key.starts_with('_')).collect();
            assert_eq!(keys, ["z", "a"]);
            let sent = Document::parse(text).unwrap();
            for key in keys {
                assert_eq!(
                    comparable(key, stored.get(key).unwrap().get()),
                    comparable(key, sent.get(key).unwrap().get())
                );
            }
        });
    });
}

#[test]
fn nothing_creates_a_database_because_it_was_named() {
    on_every_store(|test| {
        let store = test.store();
        let database = new_id::<AccountId>().database();
        block_on(async {
            assert!(store.get(&database, &id("x")).await.unwrap().is_none());
            assert!(store.put(&database, &document(json!({"_id": "x"}))).await.is_err());
            assert!(store.attachment(&database, &id("x"), "a").await.unwrap().is_none());
            assert!(store.dump(&database, None, 10, Attachments::Inline).await.unwrap().is_none());
        });
    });
}

#[test]
fn loading_keeps_revisions_and_the_later_wins() {
    on_every_store(|test| {
        let (store, database) = (test.store(), test.account().database());
        let of = |revision: &str, n: u8| document(json!({"_id": "x", "_rev": revision, "n": n}));
        let (early, late) = (format!("2-{}", "a".repeat(32)), format!("3-{}", "a".repeat(32)));
        block_on(async {
            for (documents, revision, n) in [
                (vec![of(&early, 1)], &early, 1),
                (vec![of(&late, 2)], &late, 2),
                (vec![of(&early, 1), of(&late, 2)], &late, 2),
            ] {
                store.load(&database, documents).await.unwrap();
                let stored = store.get(&database, &id("x")).await.unwrap().unwrap();
                assert_eq!(stored.revision(), Some(revision.parse::<Revision>().unwrap()));
                assert_eq!(stored.integer("n"), Some(n));
            }
            // one that came without a revision gets the same each time
            for _ in 0..2 {
                store.load(&database, vec![document(json!({"_id": "y", "n": 1}))]).await.unwrap();
                assert_eq!(store.get(&database, &id("y")).await.unwrap().unwrap().revision().unwrap().number(), 1);
            }
        });
    });
}

#[test]
fn attachments_stay_while_the_document_names_them() {
    on_every_store(|test| {
        let (store, database) = (test.store(), test.account().database());
        block_on(async {
            let inline = json!({"a.txt": {"content_type": "text/plain", "data": "aGVsbG8="}});
            let with = document(json!({"_id": "x", "_attachments": inline}));
            store.put(&database, &with).await.unwrap();
            assert_eq!(store.attachment(&database, &id("x"), "a.txt").await.unwrap().unwrap(), "hello");

            let mut stored = Arc::unwrap_or_clone(store.get(&database, &id("x")).await.unwrap().unwrap());
            stored.set("n", raw_json::raw(&1));
            store.put(&database, &stored).await.unwrap();
            assert_eq!(store.attachment(&database, &id("x"), "a.txt").await.unwrap().unwrap(), "hello");
            let dumped = store.dump(&database, None, 10, Attachments::Inline).await.unwrap().unwrap();
            let dumped = dumped.iter().find(|document| document.id().unwrap() == "x").unwrap();
            assert_eq!(serde_json::from_str::<Value>(dumped.get("_attachments").unwrap().get()).unwrap(), inline);

            let mut stored = Arc::unwrap_or_clone(store.get(&database, &id("x")).await.unwrap().unwrap());
            stored.remove("_attachments");
            store.put(&database, &stored).await.unwrap();
            assert!(store.attachment(&database, &id("x"), "a.txt").await.unwrap().is_none());
        });
    });
}

#[test]
fn a_dump_comes_in_batches_in_the_order_of_ids() {
    on_every_store(|test| {
        let (store, database) = (test.store(), test.account().database());
        block_on(async {
            let documents: Vec<Document> = (0..23).map(|n| document(json!({"_id": format!("d{n:02}")}))).collect();
            store.load(&database, documents).await.unwrap();
            let (mut ids, mut after) = (Vec::new(), None::<String>);
            loop {
                let batch = store.dump(&database, after.as_deref(), 5, Attachments::Inline).await.unwrap().unwrap();
                ids.extend(batch.iter().map(|document| document.id().unwrap()));
                after = ids.last().cloned();
                if batch.len() < 5 {
                    break;
                }
            }
            let ids: Vec<&String> = ids.iter().filter(|id| id.len() == 3).collect();
            assert_eq!(ids, (0..23).map(|n| format!("d{n:02}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
        });
    });
}

#[test]
fn rows_come_in_batches_of_any_size() {
    on_every_store(|test| {
        let (store, account) = (test.store(), test.account());
        let database = account.database();
        block_on(async {
            let group = |n: usize| {
                let user = if n.is_multiple_of(2) { "even" } else { "odd" };
                let endpoints = json!({user: {"type": "user"}, "all": {"type": "user"}});
                document(json!({"_id": format!("{n:04}"), "pvt_type": "group", "endpoints": endpoints}))
            };
            store.load(&database, (0..17).map(group).collect()).await.unwrap();
            let ids = |rows: Vec<Row>| rows.into_iter().map(|row| row.id.parse().unwrap()).collect::<Vec<usize>>();
            for batch in [1, 2, 3, 16, 17, 18, 100] {
                let up_to = Place { key: "all".to_owned(), id: Some("0011".to_owned()) };
                for (view, query, want) in [
                    (&views::GROUPS, Query::all(), (0..17).collect::<Vec<_>>()),
                    (&views::GROUPS, Query::from_key("0005"), (5..17).collect()),
                    (&views::GROUPS_BY_USER, Query::of_key("odd"), (1..17).step_by(2).collect()),
                    (&views::GROUPS_BY_USER, Query::of_key_from("all", "0004"), (4..17).collect()),
                    (
                        &views::GROUPS_BY_USER,
                        Query { last: Some(up_to), ..Query::of_key_from("all", "0004") },
                        (4..12).collect(),
                    ),
                    (&views::GROUPS_BY_USER, Query::of_key_from("even", "0005"), (6..17).step_by(2).collect()),
                    (&views::GROUPS_BY_USER, Query::of_key("nobody"), vec![]),
                ] {
                    let query = query.batch(batch);
                    let rows = all_rows(&store, &database, view, query.clone()).await;
                    assert_eq!(ids(rows), want, "{query:?}");
                    let mut rows = ids(all_rows(&store, &database, view, query.clone().descending()).await);
                    rows.reverse();
                    assert_eq!(rows, want, "{query:?}, descending");
                }
            }
        });
    });
}

#[test]
fn a_missing_view_is_told() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let account = test.account();
    let database = account.database();
    let store = test.store();
    block_on(async {
        let base = database_url(&url, database.as_str());
        let client = reqwest::Client::new();
        let design = client.get(format!("{base}/_design/groups")).send().await.unwrap().text().await.unwrap();
        let revision = Document::parse(&design).unwrap().revision().unwrap();
        client.delete(format!("{base}/_design/groups?rev={revision}")).send().await.unwrap();
        let answer: Result<Vec<Row>, Error> = store.rows(&database, &views::GROUPS, Query::all()).try_collect().await;
        assert!(matches!(answer, Err(Error::MissingView { .. })), "{answer:?}");
        // and it is not put back because a list was asked for
        let answer = client.get(format!("{base}/_design/groups")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    });
}

#[test]
fn design_documents_that_are_there_are_left_as_they_are() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url.clone()));
    let (store, database) = (test.store(), new_id::<AccountId>().database());
    // rows of other keys than ours come before and after
    let map = "function(doc) {
      if (doc.pvt_type != 'group') return;
      emit(null, 1); emit(7, 1); emit([doc._id], 1);
      emit(doc._id, {'id': doc._id, 'theirs': true});
    }";
    let views = json!({"crossbar_listing": {"map": map}});
    let theirs = json!({"_id": "_design/groups", "language": "javascript", "views": views});
    block_on(async {
        let base = database_url(&url, database.as_str());
        let client = reqwest::Client::new();
        let json = "application/json";
        assert!(client.put(&base).send().await.unwrap().status().is_success());
        let put = client.put(format!("{base}/_design/groups")).header("Content-Type", json).body(theirs.to_string());
        assert!(put.send().await.unwrap().status().is_success());
        let read = async || client.get(format!("{base}/_design/groups")).send().await.unwrap().text().await.unwrap();
        let before = read().await;

        prepare(store.as_ref(), &database).await.unwrap();
        let group = |id| document(json!({"_id": id, "pvt_type": "group"}));
        store.load(&database, vec![group("g"), group("h")]).await.unwrap();
        assert_eq!(read().await, before);
        for batch in [1, 10] {
            let rows = all_rows(&store, &database, &views::GROUPS, Query::all().batch(batch)).await;
            let values: Vec<String> = rows.iter().map(|row| row.value.get().replace(' ', "")).collect();
            assert_eq!(values, [r#"{"id":"g","theirs":true}"#, r#"{"id":"h","theirs":true}"#]);
        }
        // what was missing is there now
        let users = client.get(format!("{base}/_design/users")).send().await.unwrap();
        assert_eq!(users.status(), 200);
    });
}

#[test]
fn a_dump_s_own_design_documents_come_as_they_are() {
    on_every_store(|test| {
        let (store, account) = (test.store(), new_id::<AccountId>());
        let map = "function(doc) { if (doc.pvt_type == 'group') emit(doc._id, null); }";
        let views = json!({"crossbar_listing": {"map": map}});
        let theirs = json!({"_id": "_design/groups", "_rev": "1-5f", "language": "javascript", "views": views});
        let dump = json!({"db": account.database().as_str(), "docs": [theirs]});
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(dump.to_string().as_bytes()).unwrap();
        block_on(async {
            for _ in 0..2 {
                Dump::check(file.path()).unwrap().import(store.as_ref(), |_| {}).await.unwrap();
                let documents = store.dump(&account.database(), None, 10, Attachments::Named).await.unwrap().unwrap();
                let of_groups = documents.iter().find(|document| document.id().unwrap() == "_design/groups").unwrap();
                assert_eq!(serde_json::from_str::<Value>(&of_groups.to_json()).unwrap(), theirs, "no conflict");
            }
        });
    });
}

/// A row as a text that can be compared: features and keys in any order, numbers by value.
fn comparable(key: &str, value: &str) -> String {
    fn numbers_by_value(value: &mut Value) {
        match value {
            // JavaScript writes a negative zero as 0
            Value::Number(number) => *value = Value::String(format!("number {:?}", number.as_f64().map(|n| n + 0.0))),
            Value::Array(items) => items.iter_mut().for_each(numbers_by_value),
            Value::Object(fields) => {
                fields.sort_keys();
                fields.values_mut().for_each(numbers_by_value);
            }
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(value).unwrap();
    if let Some(features) = value.get_mut("features").and_then(Value::as_array_mut) {
        features.sort_by_key(Value::to_string);
    }
    numbers_by_value(&mut value);
    format!("{key} {value}")
}

/// What may stand where a map function looks.
fn odd_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(json!(0)), Just(json!(-0.0)), Just(json!(1)), Just(json!(2.5)), Just(json!(1e300))],
        prop_oneof![Just(""), Just("0"), Just("user"), Just("group"), Just("Éa-😀"), Just("yes")].prop_map(Value::from),
    ];
    let key =
        prop_oneof![Just("type"), Just("enabled"), Just("media_id"), Just("u1"), Just("7"), Just("10"), Just("é")];
    scalar.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Documents with something odd in each place that a map function looks at.
fn odd_document() -> impl Strategy<Value = Value> {
    let fields = [
        "pvt_deleted",
        "smartpbx",
        "music_on_hold",
        "endpoints",
        "flags",
        "name",
        "enabled",
        "pvt_md5_auth",
        "pvt_sha1_auth",
        "pvt_account_id",
        "realm",
        "pvt_api_key",
    ];
    let kind =
        prop_oneof![4 => Just(json!("group")), 2 => Just(json!("user")), 1 => Just(json!("account")), 1 => odd_value()];
    (kind, prop::collection::vec((prop::sample::select(fields.to_vec()), odd_value()), 0..8)).prop_map(|(kind, odd)| {
        let mut document = json!({"pvt_type": kind});
        for (field, value) in odd {
            document[field] = value;
        }
        document
    })
}

#[test]
fn map_functions_and_their_twins_give_the_same_rows() {
    let Some(url) = couchdb_url() else { return };
    let test = TestStore::new(Kind::Couch(url));
    let (store, database) = (test.store(), test.account().database());
    let mut runner = TestRunner::default();
    let mut documents: Vec<Document> = (0..400)
        .map(|n| {
            let mut odd = odd_document().new_tree(&mut runner).unwrap().current();
            odd["_id"] = json!(format!("{n:04}"));
            document(odd)
        })
        .collect();
    for file in seed_files() {
        let dump: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for mut seeded in dump["docs"].as_array().unwrap().clone() {
            seeded.as_object_mut().unwrap().remove("_rev");
            seeded.as_object_mut().unwrap().remove("_attachments");
            seeded["_id"] = json!(format!("seed-{}", seeded["_id"].as_str().unwrap()));
            documents.push(document(seeded));
        }
    }
    block_on(async {
        store.load(&database, documents.clone()).await.unwrap();
        for view in views::ours().filter(|view| (view.holds)(&database)) {
            let mut by_twin = BTreeMap::<String, usize>::new();
            for document in &documents {
                (view.map)(document, &mut |key, value| {
                    *by_twin.entry(comparable(key, value.get())).or_default() += 1;
                });
            }
            let mut by_javascript = BTreeMap::<String, usize>::new();
            for row in all_rows(&store, &database, view, Query::all()).await {
                *by_javascript.entry(comparable(&row.key, row.value.get())).or_default() += 1;
            }
            assert!(!by_twin.is_empty(), "{}/{}", view.design, view.name);
            let different: Vec<_> = by_twin
                .iter()
                .filter(|(row, times)| by_javascript.get(*row) != Some(times))
                .chain(by_javascript.iter().filter(|(row, times)| by_twin.get(*row) != Some(times)))
                .take(4)
                .collect();
            assert!(different.is_empty(), "{}/{}: {different:#?}", view.design, view.name);
        }
    });
}

#[test]
fn accounts_are_found_by_realm_name_and_key_on_every_store() {
    on_every_store(|test| {
        let (store, database): (SharedServer, DbName) = (test.store(), "accounts".parse().unwrap());
        let (id, mark): (String, String) = (new_id(), new_id());
        block_on(async {
            prepare(store.as_ref(), &database).await.unwrap();
            let account = json!({
                "_id": id, "pvt_type": "account", "pvt_account_id": id, "pvt_account_db": "db", "name": format!("Ä-{mark} B"),
                "realm": format!("{}.Example.COM", mark.to_uppercase()), "pvt_api_key": format!("key{mark}"),
            });
            store.load(&database, vec![document(account)]).await.unwrap();
            for (view, key) in [
                (&views::ACCOUNTS_BY_REALM, format!("{mark}.example.com")),
                (&views::ACCOUNTS_BY_NAME, format!("{mark}b")),
                (&views::ACCOUNTS_BY_API_KEY, format!("key{mark}")),
            ] {
                let rows = all_rows(&store, &database, view, Query::of_key(key)).await;
                assert_eq!(rows.len(), 1, "{}", view.name);
                assert!(rows[0].value.get().contains(&id), "{}", view.name);
            }
        });
    });
}
