//! `groups plan`, `groups apply` and `groups export`: what is told is what is done, once and whole, on every store.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::program::{program, run};
use crate::common::{Kind, TestAccount, TestStore, block_on, document, put};
use crossbar_groups::document::{DbName, DocId, Document, Revision};
use crossbar_groups::kazoo::group;
use crossbar_groups::kazoo::schema::{self, Schema};
use crossbar_groups::plan::changes::Rules;
use crossbar_groups::plan::file::PlanFile;
use crossbar_groups::plan::report::Report;
use crossbar_groups::plan::write::Outcome;
use crossbar_groups::plan::{self, Run};
use crossbar_groups::store::{self, Layer, Sequence, Server, SharedServer, SharedStore};

/// Accounts of one test's own, which `accounts` knows, with users, devices and groups; and the program before them.
struct Telephony {
    test: TestStore,
    accounts: Vec<TestAccount>,
    folder: TempDir,
}

impl Telephony {
    fn new(kind: Kind, accounts: usize) -> Self {
        let test = TestStore::new(kind);
        let accounts: Vec<TestAccount> = (0..accounts).map(|_| test.account()).collect();
        let store = test.store();
        for account in &accounts {
            test.credentials(account);
            let documents = [
                json!({"_id": "u1", "pvt_type": "user", "username": "jane@example.com", "presence_id": "1001"}),
                json!({"_id": "u2", "pvt_type": "user", "username": "bob"}),
                json!({"_id": "d1", "pvt_type": "device", "name": "Desk", "owner_id": "u1", "sip": {"a": 1}}),
                json!({"_id": "d2", "pvt_type": "device", "name": "Lobby", "sip": {"a": 1}}),
                json!({"_id": "g1", "pvt_type": "group", "name": "Support", "endpoints":
                    {"u1": {"type": "user", "weight": 1, "x": {"b": 1.50}}, "gone": {"type": "user"}}, "odd": null,
                    "smartpbx": {"b": 1, "a": [1.5]}, "pvt_odd": 1}),
                json!({"_id": "g2", "pvt_type": "group", "name": "Old", "endpoints": {}}),
                json!({"_id": "g3", "pvt_type": "group", "name": "Odd", "endpoints": {"u1": null, "d1": "x"}}),
            ];
            block_on(async {
                let documents = documents.into_iter().map(document).collect();
                store.load(&account.database(), documents).await.unwrap();
            });
        }
        Self { test, accounts, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs the program before the store, which nobody else has open then.
    fn groups(mut self, arguments: &[&str]) -> (Self, Output) {
        let (test, output) =
            with_store(
                self.test,
                |store| run(&[&["groups", arguments[0], "--store", store], &arguments[1..]].concat()),
            );
        self.test = test;
        (self, output)
    }

    /// Writes a plan of the accounts into a file.
    fn file(&self, name: &str, of_account: impl Fn(usize) -> Value) -> String {
        let of_account = |(at, account): (usize, &TestAccount)| {
            let mut entry = of_account(at);
            entry["account"] = json!(format!("{}.example.com", account.id));
            entry
        };
        let plan = json!({"accounts": self.accounts.iter().enumerate().map(of_account).collect::<Vec<_>>()});
        self.write(name, &plan.to_string())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// How far each account's database has come.
    fn sequences(&self) -> Vec<Sequence> {
        let store = self.test.store();
        let sequence = async |account: &TestAccount| store.sequence(&account.database()).await.unwrap().unwrap();
        block_on(async {
            let mut sequences = Vec::new();
            for account in &self.accounts {
                sequences.push(sequence(account).await);
            }
            sequences
        })
    }

    /// The groups of an account that are not deleted, by id.
    fn groups_of(&self, account: usize) -> Vec<Value> {
        block_on(groups_of(self.test.store().as_ref(), &self.accounts[account].database()))
    }
}

async fn groups_of(store: &dyn Server, database: &DbName) -> Vec<Value> {
    let all = store.dump(database, None, 1_000, store::Attachments::Named).await.unwrap().unwrap();
    let trees = all.iter().map(|document| serde_json::from_str::<Value>(&document.to_json()).unwrap());
    trees.filter(|tree| tree["pvt_type"] == "group" && tree["pvt_deleted"] != true).collect()
}

/// Gives a store to another process, and takes it back.
fn with_store<T>(mut test: TestStore, give: impl FnOnce(&str) -> T) -> (TestStore, T) {
    match test.kind.clone() {
        Kind::Couch(url) => {
            let given = give(&url);
            (test, given)
        }
        Kind::Embedded => {
            let given = test.lent(|folder: &Path| give(folder.to_str().unwrap()));
            (test, given)
        }
    }
}

fn text(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn named<'g>(groups: &'g [Value], name: &str) -> &'g Value {
    groups.iter().find(|group| group["name"] == name).unwrap_or_else(|| panic!("no {name}: {groups:?}"))
}

fn the_plan(_: usize) -> Value {
    json!({
        "groups": [
            {"name": "Sales", "members": [
                {"user": 1001, "weight": "1", "delay": 5}, {"device": "Lobby"}, {"group": "Help desk"},
            ]},
            {"id": "g1", "name": "Help desk", "members": [{"user": "bob", "timeout": 1.50}, {"user": "jane@example.com"}]},
        ],
        "delete": ["Old"],
    })
}

#[test]
fn what_is_planned_is_done_and_then_nothing_is_left_to_do() {
    for kind in Kind::all() {
        let it = Telephony::new(kind, 2);
        let file = it.file("plan.json", the_plan);
        let before = it.sequences();

        let (it, planned) = it.groups(&["plan", "--json", &file]);
        assert!(planned.status.success(), "{planned:?}");
        let counts =
            |told: &Value| ["created", "changed", "deleted", "unchanged"].map(|key| told[key].as_u64().unwrap());
        assert_eq!(counts(&told(&planned)), [2, 2, 2, 0]);
        let of_first = &told(&planned)["changes"][0];
        let revision = of_first["groups"][1]["revision"].as_str().unwrap().to_owned();
        assert!(revision.starts_with("1-"), "{of_first}");
        let new_id = of_first["groups"][0]["id"].as_str().unwrap().to_owned();
        let rings = &of_first["rings"]["differ"];
        assert_eq!(rings.as_array().unwrap().len(), 1, "{rings}");
        let rung = |group: &str, when: &str| {
            let of = rings.as_array().unwrap().iter().find(|differs| differs["id"] == group).unwrap();
            of[when]["rings"]
                .as_array()
                .map(|all| all.iter().map(|ring| ring["id"].as_str().unwrap().to_owned()).collect())
        };
        let all: Option<Vec<String>> = rung(&new_id, "after");
        // the desk of Jane, who is a member herself and by the group
        assert_eq!((rung(&new_id, "before"), all), (None, Some(["d1", "d2", "d1"].map(str::to_owned).to_vec())));
        let (it, planned) = it.groups(&["plan", &file]);
        let said = text(&planned).replace(&revision, "REV");
        for line in [
            &format!("  + \"Sales\" ({new_id})"),
            "      + user jane@example.com (u1): weight \"1\", delay 5",
            "      + device Lobby (d2)",
            "  ~ \"Help desk\" (g1)",
            "      name \"Support\" -> \"Help desk\"",
            "      + user bob (u2): timeout 1.5",
            "      - user gone",
            "  - \"Old\" (g2)",
            "accounts: 2; groups to create: 2, to change: 2, to delete: 2, as they are to be: 0; accounts not done: 0",
        ] {
            assert!(said.lines().any(|of| of == line), "{line}\n{said}");
        }
        assert!(
            said.contains("rings by \"Sales\": + Desk (d1) at once for 20 s and after 5 s for 20 s; + Lobby"),
            "{said}"
        );
        assert_eq!(it.sequences(), before, "nothing is written yet");

        let (it, applied) = it.groups(&["apply", &file]);
        assert!(applied.status.success(), "{applied:?}");
        assert!(text(&applied).contains("groups created: 2, changed: 2, deleted: 2,"), "{}", text(&applied));
        for (at, account) in it.accounts.iter().enumerate() {
            let groups = it.groups_of(at);
            assert_eq!(groups.len(), 3);
            let (sales, help) = (named(&groups, "Sales"), named(&groups, "Help desk"));
            let endpoints = json!({
                "u1": {"type": "user", "weight": "1", "delay": 5}, "d2": {"type": "device"}, "g1": {"type": "group"},
            });
            assert_eq!(sales["endpoints"], endpoints);
            let id = account.id.as_str();
            for (key, value) in [
                ("pvt_account_id", json!(id)),
                ("pvt_account_db", json!(account.id.encoded_database())),
                ("pvt_auth_account_id", json!(id)),
                ("pvt_vsn", json!("1")),
                ("pvt_alphanum_name", json!("sales")),
                ("pvt_created", sales["pvt_modified"].clone()),
                ("music_on_hold", json!({})),
            ] {
                assert_eq!(sales[key], value, "{key}");
            }
            assert!(sales["pvt_modified"].is_number());
            // what the file does not name stays, of the group and of a member
            assert_eq!(
                (&help["smartpbx"], &help["pvt_odd"], &help["odd"]),
                (&json!({"b": 1, "a": [1.5]}), &json!(1), &Value::Null)
            );
            assert!(help.get("odd").is_some());
            let endpoints =
                json!({"u2": {"type": "user", "timeout": 1.5}, "u1": {"type": "user", "weight": 1, "x": {"b": 1.5}}});
            assert_eq!(help["endpoints"], endpoints);
        }

        let before = it.sequences();
        let (it, again) = it.groups(&["apply", "--json", &file]);
        assert!(again.status.success(), "{again:?}");
        assert_eq!((counts(&told(&again)), &told(&again)["changes"]), ([0, 0, 0, 4], &json!([])));
        assert_eq!(it.sequences(), before, "to apply it again writes nothing");
    }
}

#[test]
fn the_plan_of_what_is_there_writes_nothing() {
    for kind in Kind::all() {
        let mut it = Telephony::new(kind, 2);
        let before = it.sequences();
        let names: Vec<String> = it.accounts.iter().map(|account| account.id.to_string()).collect();
        for more in [&[][..], &["--json"]] {
            let accounts = ["export", "--as-plan", "--account", &names[0], "--account", &names[1]];
            let (back, exported) = it.groups(&[&accounts, more].concat());
            assert!(exported.status.success(), "{exported:?}");
            let file = back.write("exported", text(&exported));
            let (back, applied) = back.groups(&["apply", "--json", &file]);
            assert!(applied.status.success(), "{applied:?}\n{}", text(&exported));
            assert_eq!((&told(&applied)["accounts"], &told(&applied)["unchanged"]), (&json!(2), &json!(6)));
            assert_eq!(back.sequences(), before);
            it = back;
        }
        let (_, refused) = it.groups(&["export", "--as-plan", "--account", "nobody.example.com"]);
        assert!(!refused.status.success() && refused.stdout.is_empty());
    }
}

#[test]
fn a_file_about_what_was_there_changes_nothing_that_was_written_since() {
    for kind in Kind::all() {
        let it = Telephony::new(kind, 2);
        let names: Vec<String> = it.accounts.iter().map(|account| account.id.to_string()).collect();
        let (it, exported) = it.groups(&["export", "--as-plan", "--account", &names[0], "--account", &names[1]]);
        let file = it.write("exported.yaml", &text(&exported).replace("\"Support\"", "\"Other\""));
        let somebodys = json!({"_id": "g1", "pvt_type": "group", "name": "Mine", "endpoints": {}});
        put(&it.test.store(), &it.accounts[0].database(), somebodys);
        let before = it.sequences();
        let (it, applied) = it.groups(&["apply", "--json", &file]);
        assert_eq!(applied.status.code(), Some(1), "{applied:?}");
        let outcomes: Vec<Value> =
            told(&applied)["changes"].as_array().unwrap().iter().map(|change| change["outcome"].clone()).collect();
        assert_eq!(outcomes, [json!("conflict"), json!("written")]);
        let after = it.sequences();
        assert_eq!(after[0], before[0]);
        assert_eq!(named(&it.groups_of(1), "Other")["_id"], "g1");
    }
}

#[test]
fn a_file_with_something_wrong_in_it_writes_nothing_and_tells_all() {
    let it = Telephony::new(Kind::Embedded, 1);
    let before = it.sequences();
    let id = it.accounts[0].id;
    let plan = format!(
        "accounts:\n  - account: {id}\n    groups:\n      - name: New\n        members:\n          - user: bobb\n          \
         - device: nothing\n      - name: ''\n  - account: nobody\n"
    );
    let file = it.write("plan.yaml", &plan);
    let (it, refused) = it.groups(&["apply", &file]);
    assert_eq!(refused.status.code(), Some(1));
    for line in [
        "line 6: there is no user \"bobb\" in ",
        "line 7: there is no device \"nothing\" in ",
        "line 8: ",
        "line 9: there is no account \"nobody\"",
    ] {
        assert!(text(&refused).lines().any(|of| of.starts_with(line)), "{line}\n{}", text(&refused));
    }
    assert!(text(&refused).contains("the nearest is \"bob\""));
    let (it, refused) = it.groups(&["plan", "--json", &file]);
    assert_eq!(told(&refused)["problems"].as_array().unwrap().len(), 4);
    assert_eq!(it.sequences(), before);
}

/// Before the write of so many documents somebody does something.
struct Planted {
    store: SharedStore,
    writes: AtomicUsize,
    at: usize,
    /// Somebody else writes the same group; or else the store fails.
    is_written: bool,
}

#[async_trait]
impl Layer for Planted {
    fn store(&self) -> &SharedStore {
        &self.store
    }

    async fn write(&self, database: &DbName, document: &Document) -> store::Result<Revision> {
        if self.writes.fetch_add(1, Ordering::SeqCst) == self.at {
            if !self.is_written {
                return Err(store::Error::Unreachable("the test broke it".to_owned()));
            }
            let id: DocId = document.id().unwrap().parse().unwrap();
            let found = self.store.get(database, &id).await?;
            let mut theirs = found.map_or_else(|| document.clone(), Arc::unwrap_or_clone);
            theirs.set_text("name", "Theirs");
            self.store.put(database, &theirs).await?;
        }
        self.store.put(database, document).await
    }
}

/// What a file plans.
async fn planned(store: &SharedServer, file: &str) -> Report {
    let schema = Schema::ours(schema::GROUPS).unwrap();
    let rules = Rules {
        schema: &schema,
        checked: schema::Limits { values: 10_000, findings: 10 },
        largest: group::Limits { endpoints: 100, rows: 1_000_000 },
    };
    let file = PlanFile::parse(&fs::read_to_string(file).unwrap()).unwrap();
    plan::plan(store.as_ref(), &file, rules, &a_run(), &ProgressBar::hidden()).await.unwrap()
}

fn a_run() -> Run {
    Run { id: "run".to_owned(), now: 63_900_000_000 }
}

/// Applies [`the_plan`] to a store in which something goes wrong at a write.
async fn applied(store: &SharedServer, file: &str, at: usize, is_written: bool) -> Report {
    let planned = planned(store, file).await;
    let planted = Planted { store: store.clone(), writes: AtomicUsize::new(0), at, is_written };
    plan::apply(&planted, planned, &a_run(), &ProgressBar::hidden()).await
}

/// What of groups is not the store's or the writer's own.
fn content(groups: &[Value], without: &str) -> Vec<Value> {
    let other = groups.iter().filter(|group| group["_id"] != without).cloned();
    let bare = other.map(|mut group| {
        group.as_object_mut().unwrap().remove("_rev");
        group
    });
    bare.collect()
}

#[test]
fn a_conflict_leaves_nothing_half_done() {
    for kind in Kind::all() {
        for at in 0..3 {
            let it = Telephony::new(kind.clone(), 1);
            let (file, before) = (it.file("plan.json", the_plan), it.groups_of(0));
            let store = it.test.store();
            let (report, after) = block_on(async {
                let report = applied(&store, &file, at, true).await;
                (report, groups_of(store.as_ref(), &it.accounts[0].database()).await)
            });
            let Some(Outcome::Conflict { groups, left }) = &report.accounts[0].outcome else { panic!("{report}") };
            assert_eq!((groups.len(), left.len()), (1, 0), "{report}");
            // theirs is theirs, and all others are what they were
            assert_eq!(named(&after, "Theirs")["_id"], groups[0].as_str());
            assert_eq!(content(&after, &groups[0]), content(&before, &groups[0]), "at {at}");
        }
    }
}

#[test]
fn a_group_of_the_same_name_that_was_made_meanwhile_is_a_conflict() {
    for kind in Kind::all() {
        let it = Telephony::new(kind, 2);
        let file = it.file("plan.json", |_| json!({"groups": [{"name": "Support", "members": []}, {"name": "New"}]}));
        let (store, database) = (it.test.store(), it.accounts[0].database());
        let (report, again) = block_on(async {
            let report = planned(&store, &file).await;
            let theirs = json!({"_id": "theirs", "pvt_type": "group", "name": "New", "endpoints": {}});
            store.put(&database, &document(theirs)).await.unwrap();
            let gone = json!({"_id": "gone", "pvt_type": "group", "name": "New", "pvt_deleted": true});
            store.put(&it.accounts[1].database(), &document(gone)).await.unwrap();
            let report = plan::apply(store.as_ref(), report, &a_run(), &ProgressBar::hidden()).await;
            // the plan that knows it changes it
            let again = planned(&store, &file).await;
            (report, plan::apply(store.as_ref(), again, &a_run(), &ProgressBar::hidden()).await)
        });
        let conflict = Outcome::Conflict { groups: vec!["theirs".to_owned()], left: Vec::new() };
        assert_eq!(report.accounts[0].outcome, Some(conflict));
        assert_eq!(report.accounts[1].outcome, Some(Outcome::Written));
        assert_eq!(again.accounts[0].outcome, Some(Outcome::Written));
        for at in 0..2 {
            let names =
                it.groups_of(at).into_iter().filter(|group| group["name"] == "New" && group["pvt_deleted"] != true);
            assert_eq!(names.count(), 1, "of account {at}");
        }
    }
}

#[test]
fn a_fault_of_the_store_leaves_nothing_half_done() {
    for kind in Kind::all() {
        let it = Telephony::new(kind, 1);
        let (file, before) = (it.file("plan.json", the_plan), it.groups_of(0));
        let store = it.test.store();
        let (report, after) = block_on(async {
            let report = applied(&store, &file, 2, false).await;
            (report, groups_of(store.as_ref(), &it.accounts[0].database()).await)
        });
        let Some(Outcome::Failed { left, .. }) = &report.accounts[0].outcome else { panic!("{report}") };
        assert_eq!((left.len(), content(&after, "")), (0, content(&before, "")), "{report}");
        // and then all of it is done
        drop(store);
        let (it, applied) = it.groups(&["apply", &file]);
        assert!(applied.status.success(), "{applied:?}");
        let mut names: Vec<String> =
            it.groups_of(0).iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["Help desk", "Odd", "Sales"]);
    }
}

#[test]
fn what_was_killed_midway_is_ended_by_doing_it_again() {
    for kind in Kind::all() {
        let mut it = Telephony::new(kind, 30);
        let wanted = |at: usize| json!({"groups": (0..5).map(|number| json!({"name": format!("Group {number}"), "members": [{"user": "bob", "weight": at}]})).collect::<Vec<_>>()});
        let file = it.file("plan.json", wanted);
        let created = |it: &Telephony| -> usize {
            (0..it.accounts.len())
                .map(|at| {
                    it.groups_of(at).iter().filter(|group| group["name"].as_str().unwrap().starts_with("Group")).count()
                })
                .sum()
        };
        // until it was killed between the first write and the last
        for pause in [200, 400, 100, 800, 300, 1_600, 50, 3_000].map(Duration::from_millis) {
            let (test, ()) = with_store(it.test, |store| {
                let mut process = program();
                process.args(["groups", "apply", "--store", store, &file]).stdout(Stdio::null()).stderr(Stdio::null());
                let mut process = process.spawn().unwrap();
                thread::sleep(pause);
                process.kill().unwrap();
                process.wait().unwrap();
            });
            it.test = test;
            if created(&it) > 0 {
                break;
            }
        }
        let (it, again) = it.groups(&["apply", &file]);
        assert!(again.status.success(), "{again:?}");
        for at in 0..it.accounts.len() {
            let mut names: Vec<String> =
                it.groups_of(at).iter().map(|group| group["name"].as_str().unwrap().to_owned()).collect();
            names.sort();
            assert_eq!(names, ["Group 0", "Group 1", "Group 2", "Group 3", "Group 4", "Odd", "Old", "Support"]);
        }
        let before = it.sequences();
        let (it, again) = it.groups(&["apply", &file]);
        assert!(again.status.success());
        assert_eq!(it.sequences(), before);
    }
}

#[test]
fn two_runs_at_once_make_no_group_twice() {
    // an embedded store is open to one process alone
    for kind in Kind::all().into_iter().filter(|kind| matches!(kind, Kind::Couch(_))) {
        let it = Telephony::new(kind, 10);
        let groups: Vec<Value> = (0..5).map(|number| json!({"name": format!("Group {number}")})).collect();
        let file = it.file("plan.json", |_| json!({"groups": groups}));
        let (test, outputs) = with_store(it.test, |store| {
            let start = || {
                let mut process = program();
                process
                    .args(["groups", "apply", "--store", store, &file])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                process.spawn().unwrap()
            };
            [start(), start()].map(|process| process.wait_with_output().unwrap())
        });
        let it = Telephony { test, ..it };
        assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
        for at in 0..it.accounts.len() {
            assert_eq!(it.groups_of(at).len(), 3 + groups.len());
        }
    }
}
