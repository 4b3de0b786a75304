use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use futures::TryStreamExt;
use redb::TableDefinition;

use crate::document::json;

use super::super::Server;
use super::layout::{META, ROWS, VALUES};
use super::*;

const BEFORE: View = View {
    design: "d",
    name: "v",
    version: 1,
    holds: |_| true,
    is_kept: false,
    map: |_, emit| emit("old", &Arc::from(json::raw(&1))),
};
const AFTER: View = View { version: 2, map: |_, emit| emit("new", &Arc::from(json::raw(&2))), ..BEFORE };

/// What this has begun has ended when it returns, and nobody has the file open.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[test]
fn the_rows_of_a_view_of_another_version_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let database = DbName::fixed("db");
    // what a runtime has begun has ended with it, and nobody has the file open
    let keys = |views| {
        let (folder, database) = (&folder, &database);
        block_on(async move {
            let store = Embedded::open(folder.path(), views).unwrap();
            store.create(database).await.unwrap();
            let document = Document::parse(r#"{"_id":"a"}"#).unwrap();
            store.load(database, vec![document]).await.unwrap();
            let rows: Vec<Row> = store.rows(database, &BEFORE, Query::all()).try_collect().await.unwrap();
            rows.into_iter().map(|row| row.key.to_string()).collect::<Vec<_>>()
        })
    };
    assert_eq!(keys(&[BEFORE]), ["old"]);
    assert_eq!(keys(&[AFTER]), ["new"]);
}

#[test]
fn the_file_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let file = folder.path().join("store.redb");
    set(folder.path(), 0o755);
    for _ in 0..2 {
        drop(Embedded::open(folder.path(), &[BEFORE]).unwrap());
        assert_eq!((mode(&file), mode(folder.path())), (0o600, 0o755));
        set(&file, 0o644);
    }
    let made = folder.path().join("made");
    drop(Embedded::open(&made, &[BEFORE]).unwrap());
    assert_eq!(mode(&made), 0o700);
}

#[test]
fn the_rows_of_a_file_of_a_former_layout_are_made_anew() {
    type FirstPlace = (&'static str, &'static str, &'static [u8], &'static str);
    let first: TableDefinition<FirstPlace, (&str, &str)> = TableDefinition::new("rows");
    let third: TableDefinition<FirstPlace, (&str, u32)> = TableDefinition::new("rows");
    let database = DbName::fixed("db");
    let place = ("db", "d/v", &b"x"[..], "a");
    for layout in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let (folder, database) = (folder.path(), &database);
        block_on(async {
            let store = Embedded::open(folder, &[BEFORE]).unwrap();
            store.create(database).await.unwrap();
            store.load(database, vec![Document::parse(r#"{"_id":"a","_rev":"1-a"}"#).unwrap()]).await.unwrap();
            let as_it_was = move |transaction: &redb::WriteTransaction| {
                history::tests::as_before(transaction, layout);
                transaction.delete_table(VALUES).unwrap();
                transaction.delete_table(ROWS).unwrap();
                match layout {
                    1 => transaction.open_table(first).unwrap().insert(place, ("old", "1")).map(drop).unwrap(),
                    _ => transaction.open_table(third).unwrap().insert(place, ("old", 0)).map(drop).unwrap(),
                }
                Ok(())
            };
            store.disk.file().redb.write(as_it_was).unwrap();
        });
        for _ in 0..2 {
            block_on(async {
                let store = Embedded::open(folder, &[BEFORE]).unwrap();
                let rows: Vec<Row> = store.rows(database, &BEFORE, Query::all()).try_collect().await.unwrap();
                assert_eq!((rows.len(), rows[0].value.get()), (1, "1"), "{layout}");
                let document = store.get(database, &"a".parse().unwrap()).await.unwrap().unwrap();
                assert_eq!(document.to_json(), r#"{"_id":"a","_rev":"1-a"}"#);
            });
        }
    }
}

#[test]
fn a_file_of_another_layout_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), &[BEFORE]).unwrap();
    let later = |transaction: &redb::WriteTransaction| {
        transaction.open_table(META).unwrap().insert("layout", "6").unwrap();
        Ok(())
    };
    store.disk.file().redb.write(later).unwrap();
    drop(store);
    let error = Embedded::open(folder.path(), &[BEFORE]).err().unwrap();
    assert!(error.to_string().contains("layout is 6"), "{error}");
}
