//! What `docs/` has operators type, typed: each command of *Operating* and of *Plans*, in the order of the page, on the seed.
//! *Moving from Kazoo* is followed in `shadow`, and *The API* in `cli`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use clap::Parser;

use crate::common::manual::{Shell, blocks, page};
use crate::common::program::{Served, program};
use crate::common::upstream::Upstream;
use crate::common::{TestApp, block_on, client, import, recording, seed_files, until_let_go};
use crossbar_groups::config::CommandLine;
use crossbar_groups::kazoo::views;
use crossbar_groups::store::SharedServer;
use crossbar_groups::store::embedded::Embedded;

/// What comes of a command that a machine of tests can't be given.
#[derive(Clone, Copy)]
enum Played {
    Starts,
    Runs,
    Stops,
    Nothing,
}

/// How such a command begins, what is done in its place, and why it can't be given.
const PLAYED: [(&str, Played, &str); 5] = [
    ("apt-get install", Played::Starts, "changes the machine; scripts/test-package does it in a Debian of its own"),
    ("systemctl start", Played::Starts, "there is no systemd"),
    ("systemctl status", Played::Runs, "there is no systemd"),
    ("systemctl stop", Played::Stops, "there is no systemd"),
    ("chown -R crossbar-groups:", Played::Nothing, "there is no such user"),
];

/// Where the package has the store, and its settings.
const STORE: &str = "var/lib/crossbar-groups/data";
const SETTINGS: &str = "etc/crossbar-groups/config.toml";

/// Who follows a page.
struct Reader {
    shell: Shell,
    upstream: Upstream,
    /// The service that the system runs.
    system: Option<Served>,
    account: String,
    /// A group of the account that is deleted.
    group: String,
    /// How those commands begin that were played.
    played: Vec<&'static str>,
}

impl Reader {
    /// Somebody who has the seed in three stores: one in the place of the CouchDB, with a deleted group, `data`, and the
    /// package's.
    fn new() -> Self {
        let shell = Shell::new();
        let variables = recording::variables();
        let (account, token) = (variables["C"].clone(), &variables["TC"]);
        for folder in ["couch", "data", STORE] {
            fs::create_dir_all(shell.path(folder)).unwrap();
            block_on(import(&Embedded::open(&shell.path(folder), views::ALL).unwrap(), seed_files()));
        }
        let group = {
            let store: SharedServer = Arc::new(Embedded::open(&shell.path("couch"), views::ALL).unwrap());
            let app = TestApp::unlimited(store);
            let groups = format!("/v2/accounts/{account}/groups");
            let group = app.get(&groups, token).json()["data"][0]["id"].as_str().unwrap().to_owned();
            assert_eq!(app.send("DELETE", &format!("{groups}/{group}"), token, None).status, 200);
            group
        };
        until_let_go(&shell.path("couch"));
        let upstream = Upstream::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Self { shell, upstream, system: None, account, group, played: Vec::new() }
    }

    fn path(&self, name: &str) -> String {
        self.shell.path(name).to_str().unwrap().to_owned()
    }

    /// A command with what the reader has in the place of the page's words.
    fn put(&self, command: &str) -> String {
        let file = if command.contains("groups plan") { "groups.yaml" } else { "settings.toml" };
        let word = |word: &str| match word {
            "http://admin:password@couchdb.example.com:5984" | "URL" | "FROM" => "couch".to_owned(),
            "TO" => "copy".to_owned(),
            "ID" => self.account.clone(),
            "GROUP" => self.group.clone(),
            "FILE" => file.to_owned(),
            "http://crossbar.example.com:8000" => self.upstream.url(),
            _ => match word.strip_prefix("http://127.0.0.1:8000") {
                Some(path) => format!("http://{}{path}", self.system.as_ref().unwrap().address),
                None if word.starts_with("/var/") || word.starts_with("/etc/") => self.path(&word[1..]),
                None => word.to_owned(),
            },
        };
        command.split(' ').map(word).collect::<Vec<String>>().join(" ")
    }

    fn follow(&mut self, page: &str) {
        for command in blocks(page, "sh").into_iter().flat_map(str::lines) {
            // what goes on is a comment
            if command.trim_start().starts_with('#') {
                continue;
            }
            let command = command.split(" #").next().unwrap().trim_end();
            if let Some((begins, played, _)) = PLAYED.iter().find(|(begins, ..)| command.starts_with(begins)) {
                self.played.push(begins);
                self.play(*played);
                continue;
            }
            let put = self.put(command);
            match put.strip_prefix("crossbar-groups serve ").filter(|_| !put.contains("--print-config")) {
                Some(arguments) => self.serve(arguments),
                None => self.run(command, &put),
            }
        }
    }

    fn play(&mut self, played: Played) {
        match played {
            Played::Starts => {
                drop(self.system.take());
                let system = Served::start(&["--store", &self.path(STORE)]);
                fs::create_dir_all(self.shell.path(SETTINGS).parent().unwrap()).unwrap();
                fs::write(self.shell.path(SETTINGS), format!("listen = \"{}\"\n", system.address)).unwrap();
                self.system = Some(system);
            }
            Played::Runs => assert!(self.system.is_some()),
            Played::Stops => drop(self.system.take().unwrap()),
            Played::Nothing => {}
        }
    }

    /// Serves at a port of the test's own.
    fn serve(&self, arguments: &str) {
        let mut words: Vec<&str> = arguments.split(' ').collect();
        if words[..2] == ["--listen", "0.0.0.0:8000"] {
            words.drain(..2);
        }
        let mut program = program();
        program.current_dir(self.shell.path(""));
        let served = Served::of(program, &words);
        assert_eq!(client::send(served.address, "GET", "/readyz", &[], None).unwrap().status, 200, "{arguments}");
    }

    fn run(&self, command: &str, put: &str) {
        // a backup is one of a store that is served
        let _served = put.contains(" backup --store data ").then(|| Served::start(&["--store", &self.path("data")]));
        let put = match put.ends_with("--fix") {
            // there is nobody to ask
            true => format!("{put} --yes"),
            false => put.to_owned(),
        };
        let output = self.shell.run(&put, &[]);
        let told = String::from_utf8_lossy(&output.stdout);
        // the seed has groups of every kind, also such as are found fault with
        let is_well = output.status.success() || (put.contains(" audit ") && told.contains(" faults"));
        assert!(is_well, "{command}: {told}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_page_on_operating_is_followed_word_by_word() {
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let page = page("docs/operating.md");
    let mut reader = Reader::new();
    // the file that the page shows is the one that it has read
    let [settings] = blocks(&page, "toml")[..] else { panic!() };
    let settings = settings.replace("/etc/", &reader.path("etc/"));
    fs::write(reader.shell.path("settings.toml"), settings).unwrap();
    fs::create_dir_all(reader.shell.path("etc/crossbar-groups")).unwrap();
    fs::write(reader.shell.path("etc/crossbar-groups/store"), "http://admin:password@127.0.0.1:1").unwrap();
    let plan = format!("accounts: [{{account: {}, groups: [{{name: New, members: []}}]}}]", reader.account);
    fs::write(reader.shell.path("groups.yaml"), plan).unwrap();

    reader.follow(&page);
    for (begins, _, why) in PLAYED {
        assert!(reader.played.contains(&begins), "the page has no {begins:?} any longer ({why})");
    }
    for made in ["accounts.json", "account.json", "all.json", "groups.backup", "new/store.redb", "copy/store.redb"] {
        assert!(reader.shell.path(made).metadata().unwrap().len() > 0, "{made}");
    }
    // what was deleted is there again, in the store whose backup was restored is what was in it
    let groups = format!("/v2/accounts/{}/groups/{}", reader.account, reader.group);
    let headers = [("X-Auth-Token", recording::variables()["TC"].clone())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let couch = Served::start(&["--store", &reader.path("couch")]);
    for address in [couch.address, reader.system.as_ref().unwrap().address] {
        assert_eq!(client::send(address, "GET", &groups, &headers, None).unwrap().status, 200);
    }
}

#[test]
fn the_page_on_plans_is_followed_word_by_word() {
    let mut reader = Reader::new();
    reader.follow(&page("docs/plan.md"));
    assert!(reader.shell.path("groups.yaml").metadata().unwrap().len() > 0);
}

#[test]
fn commands_in_the_text_of_pages_can_be_given() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
    let mut found = 0;
    for path in pages.chain([root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("SECURITY.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        // what stands between two marks of a line, outside of blocks
        let outside = text.split("```").step_by(2);
        let spans = outside.flat_map(str::lines).flat_map(|line| line.split('`').skip(1).step_by(2));
        for command in spans.filter(|span| span.starts_with("crossbar-groups ")) {
            found += 1;
            let parsed = CommandLine::try_parse_from(command.split_whitespace());
            assert!(parsed.is_ok(), "{}: {command}: {}", path.display(), parsed.unwrap_err());
        }
    }
    assert!(found > 3);
}
