//! `migrate`: what is carried is the same there, and what was stopped goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Watched, check, embedded, group, hidden, kazoos_groups, own_document, owners, stores};
use crate::common::program::run;
use crate::common::{Kind, block_on, document, import, new_id, seed_files};
use crossbar_groups::document::DbName;
use crossbar_groups::dump;
use crossbar_groups::kazoo::account::{ACCOUNTS, AccountId};
use crossbar_groups::operate::migrate;
use crossbar_groups::operate::views::Owner;
use crossbar_groups::store::{Attachments, Server, SharedServer};

/// A database as a dump file has it.
async fn dumped(store: &dyn Server, database: &DbName) -> String {
    let mut output = Vec::new();
    dump::export(store, database, &mut output).await.unwrap();
    String::from_utf8(output).unwrap()
}

/// Byte for byte; tells the first line that differs.
fn assert_same(one: &str, other: &str) {
    let different = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!(different, None);
    assert_eq!(one.len(), other.len());
}

/// An account with many documents, some edited often, one with attachments, one of Kazoo's design documents.
async fn fill(store: &dyn Server) -> AccountId {
    let id: AccountId = new_id();
    let (database, accounts) = (id.database(), ACCOUNTS.parse().unwrap());
    store.create(&database).await.unwrap();
    store.create(&accounts).await.unwrap();
    let mut documents = vec![document(own_document(id))];
    documents.extend((0..650).map(|at| document(group(&format!("{at:032x}"), json!({"ü": {"type": "user"}})))));
    let media = json!({
        "_id": "media", "_attachments": {
            "b.wav": {"content_type": "audio/wav", "data": "UklGRg=="},
            "a.txt": {"content_type": "text/plain", "data": "aGVsbG8="},
        },
        "big": 9007199254740991_i64, "fraction": 1.5, "empty": {}, "list": [null, true, ""], "text": "é\n\"😀",
    });
    documents.extend([document(media), document(kazoos_groups("doc.name"))]);
    store.load(&database, documents).await.unwrap();
    for _ in 0..3 {
        let edited = store.get(&database, &format!("{:032x}", 7).parse().unwrap()).await.unwrap().unwrap();
        let mut edited = Arc::unwrap_or_clone(edited);
        edited.set_text("name", "edited");
        store.put(&database, &edited).await.unwrap();
    }
    store.put(&accounts, &document(own_document(id))).await.unwrap();
    id
}

#[test]
fn there_and_back_gives_the_same_dump() {
    for between in stores() {
        let ((_first, from), (_last, back)) = (embedded(), embedded());
        block_on(async {
            let account = fill(&*from).await;
            let database = account.database();
            let there = between.store();
            let report = migrate::migrate(&*from, &*there, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            // the account's own, the groups, the media, Kazoo's design document, and the copy in `accounts`
            assert_eq!(report.databases.iter().map(|carried| carried.written).sum::<u64>(), 1 + 650 + 1 + 1 + 1);

            let report = migrate::migrate(&*there, &*back, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            assert_same(&dumped(&*back, &database).await, &dumped(&*from, &database).await);
            let accounts = ACCOUNTS.parse().unwrap();
            assert_same(&dumped(&*back, &accounts).await, &dumped(&*from, &accounts).await);
            // ours is added where it is missing, Kazoo's stays
            let found = check(&there, account).await;
            if matches!(between.kind, Kind::Couch(_)) {
                assert_eq!(owners(&found), BTreeMap::from([("groups", Owner::Kazoo), ("users", Owner::Ours)]));
            }
            assert!(found.is_well(), "{found:?}");
            forget_copy(&there, account).await;
        });
    }
}

/// Others share `accounts`: an account that is no more is deleted there.
async fn forget_copy(store: &SharedServer, account: AccountId) {
    let accounts = ACCOUNTS.parse().unwrap();
    let mut copy = Arc::unwrap_or_clone(store.get(&accounts, &account.document_id()).await.unwrap().unwrap());
    copy.set("pvt_deleted", crossbar_groups::document::json::raw(&true));
    store.put(&accounts, &copy).await.unwrap();
}

#[test]
fn a_migration_that_was_stopped_goes_on() {
    for to in stores() {
        let (_folder, from) = embedded();
        block_on(async {
            let account = fill(&*from).await;
            // the account's database takes more than one batch
            let broken = Watched { breaks_after: 1, ..Watched::new(to.store()) };
            let report = migrate::migrate(&*from, &broken, Some(account), &hidden()).await.unwrap();
            assert!(!report.is_well(), "{report}");
            assert!(report.to_string().contains("run it again"), "{report}");
            let first: u64 = documents_in(&*to.store(), account).await;
            assert!(first < 653, "{first}");

            let whole = Watched::new(to.store());
            let report = migrate::migrate(&*from, &whole, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            let written: u64 = report.databases.iter().map(|carried| carried.written).sum();
            assert!(written <= 654 && written + first >= 653, "{written} after {first}");

            let writes = whole.writes();
            let report = migrate::migrate(&*from, &whole, Some(account), &hidden()).await.unwrap();
            assert!(report.is_well(), "{report}");
            assert_eq!(report.databases.iter().map(|carried| carried.written).sum::<u64>(), 0);
            assert_eq!(whole.writes(), writes, "to start it again changes nothing");
            forget_copy(&to.store(), account).await;
        });
    }
}

async fn documents_in(store: &dyn Server, account: AccountId) -> u64 {
    let all = store.dump(&account.database(), None, 10_000, Attachments::Named).await.unwrap().unwrap_or_default();
    all.len() as u64
}

#[test]
fn what_differs_after_a_migration_is_told() {
    for to in stores() {
        let (_folder, from) = embedded();
        block_on(async {
            let account = fill(&*from).await;
            let more = document(json!({"_id": "more", "_rev": "9-ffffffffffffffffffffffffffffffff"}));
            to.store().create(&account.database()).await.unwrap();
            to.store().load(&account.database(), vec![more]).await.unwrap();
            let report = migrate::migrate(&*from, &*to.store(), Some(account), &hidden()).await.unwrap();
            let whole = report.databases.iter().find(|carried| carried.database == account.database()).unwrap();
            assert!(!whole.is_same() && !report.is_well());
            assert_eq!(whole.to.as_ref().unwrap().documents, whole.from.as_ref().unwrap().documents + 1);

            // as many, but not the same
            let less = document(json!({"_id": "less", "_rev": "1-eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}));
            from.load(
                &account.database(),
                vec![less, document(json!({"_id": "more", "_rev": "1-00000000000000000000000000000000"}))],
            )
            .await
            .unwrap();
            let report = migrate::migrate(&*from, &*to.store(), Some(account), &hidden()).await.unwrap();
            let whole = report.databases.iter().find(|carried| carried.database == account.database()).unwrap();
            assert_eq!(whole.to.as_ref().unwrap().documents, whole.from.as_ref().unwrap().documents);
            assert!(!whole.is_same(), "{report}");
            forget_copy(&to.store(), account).await;
        });
    }
}

#[test]
fn a_whole_store_is_carried() {
    let ((_first, from), (_second, to)) = (embedded(), embedded());
    block_on(async {
        import(&*from, seed_files()).await;
        let report = migrate::migrate(&*from, &*to, None, &hidden()).await.unwrap();
        assert!(report.is_well(), "{report}");
        let databases = from.databases().await.unwrap();
        assert_eq!(databases.len(), 12);
        assert_eq!(to.databases().await.unwrap(), databases);
        for database in &databases {
            assert_same(&dumped(&*to, database).await, &dumped(&*from, database).await);
        }
        let (_third, empty) = embedded();
        assert!(migrate::migrate(&*empty, &*to, None, &hidden()).await.is_err(), "nothing to carry");
    });
}

#[test]
fn a_store_is_not_carried_to_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let refused = run(&["migrate", store, store]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the same store"));
}
