//! `groups deleted` and `groups restore`: what clients deleted is told, and brought back as it was.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Watched, group, own_document, put, stores};
use crate::common::program::{Served, run};
use crate::common::{Kind, TestApp, TestStore, block_on, document, new_id};
use crossbar_groups::document::{DocId, Document};
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::operate::undo::{self, Outcome};
use crossbar_groups::store::SharedServer;
use crossbar_groups::world::World;

fn id(text: &str) -> DocId {
    text.parse().unwrap()
}

fn tree(document: &Document) -> Value {
    serde_json::from_str(&document.to_json()).unwrap()
}

#[test]
fn what_a_client_deleted_is_told_and_brought_back_as_it_was() {
    for store in stores() {
        let account = store.account();
        let shared = store.store();
        let named = json!({"first_name": "Ann", "last_name": "Lee"});
        block_on(async {
            let mut user = Arc::unwrap_or_clone(shared.get(&account.database(), &account.user).await.unwrap().unwrap());
            user.extend(document(named));
            shared.put(&account.database(), &user).await.unwrap();
        });
        let app = TestApp::unlimited(store.store());
        let fields = json!({"name": "Front desk", "endpoints": {"u": {"type": "user", "weight": 1}}, "x": {"b": 1.50}});
        let (gone, other) = (app.create(&account, fields), app.create(&account, json!({"name": "O", "endpoints": {}})));
        let path = account.path(&format!("groups/{gone}"));
        let before = app.get(&path, &account.token).json();
        assert_eq!(app.send("DELETE", &path, &account.token, None).status, 200);
        assert_eq!(app.get(&path, &account.token).status, 404);

        block_on(async {
            let report = undo::deleted(shared.as_ref(), account.id).await.unwrap();
            assert_eq!(report.groups.len(), 1);
            let deleted = &report.groups[0];
            assert_eq!(
                (deleted.id.as_str(), deleted.name.as_deref(), deleted.endpoints),
                (&*gone, Some("Front desk"), 1)
            );
            assert_eq!(deleted.by.account.as_deref(), Some(account.id.as_str()));
            assert_eq!(deleted.by.user.as_deref(), Some(account.user.as_str()));
            assert_eq!(deleted.by.name.as_deref(), Some("Ann Lee"));
            let (today, when) = (World::real().iso8601(), deleted.deleted.clone().unwrap());
            assert!(when <= today && when[..7] == today[..7], "{when}");
            let text = report.to_string();
            assert!(text.contains(&format!("{gone}  Front desk, 1 endpoint, deleted {when} by Ann Lee")), "{text}");

            let there = shared.get(&account.database(), &id(&gone)).await.unwrap().unwrap();
            // while the service runs, and seen by it at once
            let report = undo::restore(shared.as_ref(), account.id, &[id(&gone)], World::real()).await.unwrap();
            let Outcome::Restored { name, revision } = &report.groups[0].outcome else { panic!("{report}") };
            assert_eq!(name.as_deref(), Some("Front desk"));
            let restored = shared.get(&account.database(), &id(&gone)).await.unwrap().unwrap();
            assert_eq!(restored.revision().unwrap().number(), there.revision().unwrap().number() + 1);
            let mut expected = tree(&there);
            expected.as_object_mut().unwrap().remove("pvt_deleted");
            expected["_rev"] = json!(revision);
            expected["pvt_modified"] = tree(&restored)["pvt_modified"].clone();
            assert_eq!(tree(&restored), expected, "all else is as it was");
            assert!(undo::deleted(shared.as_ref(), account.id).await.unwrap().groups.is_empty());
        });
        let after = app.get(&path, &account.token).json();
        assert_eq!(after["data"], before["data"]);
        let listed = app.get(&account.path("groups"), &account.token).text();
        assert!(listed.contains(&gone) && listed.contains(&other), "{listed}");
    }
}

#[test]
fn what_cant_be_restored_is_refused_with_words_and_nothing_is_written() {
    for store in stores() {
        let account = store.account();
        block_on(async {
            let watched = Arc::new(Watched::new(store.store()));
            let shared: SharedServer = watched.clone();
            let mut gone = group("gone", json!({}));
            gone["pvt_deleted"] = json!(true);
            put(&shared, account.id, gone).await;
            put(&shared, account.id, group("live", json!({}))).await;
            put(&shared, account.id, json!({"_id": "menu", "pvt_type": "menu", "pvt_deleted": true})).await;
            let hard = document(json!({"_id": "hard", "_rev": "2-a", "_deleted": true}));
            shared.load(&account.database(), vec![hard]).await.unwrap();
            let before = watched.writes();
            let restore = async |ids: &[&str]| {
                let ids: Vec<DocId> = ids.iter().map(|text| id(text)).collect();
                undo::restore(shared.as_ref(), account.id, &ids, World::real()).await.unwrap()
            };
            for (other, words) in [
                ("live", "it is not deleted"),
                ("menu", "it is a menu, and no group"),
                ("hard", "deleted for good"),
                ("nobody", "there is no such document"),
            ] {
                let report = restore(&["gone", other]).await;
                assert!(!report.is_well());
                assert_eq!(report.groups[0].outcome, Outcome::LeftAlone);
                let text = report.to_string();
                assert!(text.contains(words), "{text}");
            }
            assert_eq!(watched.writes(), before);
            let report = restore(&["gone", "gone"]).await;
            assert!(report.is_well() && report.groups.len() == 1, "{report}");

            let rival = |mut document: Document| {
                document.set_text("name", "theirs");
                document
            };
            let mut again = group("again", json!({}));
            again["pvt_deleted"] = json!(true);
            put(&shared, account.id, again).await;
            let watched = Watched { rival: Some(rival), ..Watched::new(store.store()) };
            let report = undo::restore(&watched, account.id, &[id("again")], World::real()).await.unwrap();
            assert_eq!(report.groups[0].outcome, Outcome::Conflict);
        });
    }
}

#[test]
fn the_commands_print_for_people_and_for_scripts() {
    for kind in Kind::all() {
        let test = TestStore::new(kind.clone());
        let account: AccountId = new_id();
        block_on(async {
            let store = test.store();
            store.create(&account.database()).await.unwrap();
            put(&store, account, own_document(account)).await;
            let mut gone = group("gone", json!({}));
            (gone["pvt_deleted"], gone["pvt_modified"]) = (json!(true), json!(63_935_308_800_i64));
            put(&store, account, gone).await;
        });
        let (folder, store) = match &kind {
            Kind::Couch(url) => (None, url.clone()),
            Kind::Embedded => {
                let folder = test.close();
                let store = folder.path().to_str().unwrap().to_owned();
                (Some(folder), store)
            }
        };
        let groups = |command: &str, more: &[&str]| {
            run(&[&["groups", command, "--store", &store, "--account", account.as_str()], more].concat())
        };
        let text = String::from_utf8(groups("deleted", &[]).stdout).unwrap();
        assert!(text.contains("gone, 0 endpoints, deleted 2026-01-11T00:00:00Z by nobody who is told"), "{text}");
        let listed: Value = serde_json::from_slice(&groups("deleted", &["--json"]).stdout).unwrap();
        assert_eq!(listed["groups"][0]["id"], "gone");
        assert_eq!(listed["groups"][0]["deleted"], "2026-01-11T00:00:00Z");
        let refused = groups("restore", &["--json", "gone", "nobody"]);
        assert_eq!(refused.status.code(), Some(1));
        let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(report["groups"][0]["outcome"], "left_alone");
        assert_eq!(report["groups"][1]["outcome"], "missing");
        let restored = groups("restore", &["gone"]);
        assert_eq!(restored.status.code(), Some(0));
        assert!(String::from_utf8(restored.stdout).unwrap().contains("gone is there again, as 2-"));
        assert_eq!(groups("restore", &["gone"]).status.code(), Some(1), "once");
        assert_eq!(groups("restore", &[]).status.code(), Some(2));

        let Some(folder) = folder else { continue };
        let _served = Served::start(&["--store", folder.path().to_str().unwrap()]);
        let error = String::from_utf8(groups("restore", &["gone"]).stderr).unwrap();
        assert!(error.contains("another process has this store open — stop the service"), "{error}");
    }
}
