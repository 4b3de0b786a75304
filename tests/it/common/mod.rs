//! What the black-box tests share: the service started in process on a free port before a store of their own, and a
//! client that sends what it is told, byte for byte.
//!
//! Tests that need a CouchDB use the one at `$COUCHDB_URL` (`scripts/test` brings one up); without it they run on the
//! embedded store alone, and `scripts/test` says so. Those that need an AMQP broker use the one at `$AMQP_URL`.

pub mod client;
pub mod faulty;
pub mod hostile;
pub mod listener;
pub mod manual;
pub mod program;
pub mod proxy;
pub mod recording;
pub mod tls;
pub mod upstream;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use crossbar_groups::Application;
use crossbar_groups::auth::Auth;
use crossbar_groups::config::{Command, CommandLine, ServeArguments};
use crossbar_groups::databases::prepare;
use crossbar_groups::document::{DbName, DocId, Document};
use crossbar_groups::dump::Dump;
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::kazoo::time;
use crossbar_groups::kazoo::views;
use crossbar_groups::metrics::Metrics;
use crossbar_groups::store::couch::{Couch, CouchOptions};
use crossbar_groups::store::embedded::Embedded;
use crossbar_groups::store::{Server, SharedServer};
use crossbar_groups::world::World;

use program::Served;

/// Where the fixtures are.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The dump files of the seed.
pub fn seed_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(fixtures().join("seed")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Puts an account into the store of a folder, that of nobody's test: the log says nothing of a store that has one.
pub fn put_an_account(folder: &Path) {
    let ember = seed_files().into_iter().find(|file| file.to_str().unwrap().contains("83%2F83")).unwrap();
    block_on(async { import(&Embedded::open(folder, views::ALL).unwrap(), [ember]).await });
}

/// Imports dump files into a store.
pub async fn import(store: &dyn Server, files: impl IntoIterator<Item = PathBuf>) {
    for file in files {
        Dump::check(&file).unwrap().import(store, |_| {}).await.unwrap();
    }
}

/// The CouchDB to test against, if there is one.
pub fn couchdb_url() -> Option<String> {
    std::env::var("COUCHDB_URL").ok().filter(|url| !url.is_empty())
}

/// A database's URL at a CouchDB, for those who speak with it themselves.
pub fn database_url(couchdb: &str, database: &str) -> String {
    format!("{}/{}", couchdb.trim_end_matches('/'), database.replace('/', "%2F"))
}

/// A CouchDB that is not there: nobody listens on port 1.
pub const NO_COUCHDB: &str = "http://admin:password@127.0.0.1:1";

/// A CouchDB that hangs: connections come into its queue, and nobody takes them out.
pub fn hanging() -> (TcpListener, String) {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", node.local_addr().unwrap());
    (node, url)
}

/// The AMQP broker to test against, if there is one.
pub fn amqp_url() -> Option<String> {
    std::env::var("AMQP_URL").ok().filter(|url| !url.is_empty())
}

/// Runs what is asynchronous.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// An id that nobody else has.
pub fn new_id<T: FromStr<Err: Debug>>() -> T {
    Uuid::new_v4().simple().to_string().parse().unwrap()
}

/// A kind of store that every test of stores is run on.
#[derive(Debug, Clone)]
pub enum Kind {
    Embedded,
    Couch(String),
}

impl Kind {
    /// The kinds that are there.
    pub fn all() -> Vec<Self> {
        [Self::Embedded].into_iter().chain(couchdb_url().map(Self::Couch)).collect()
    }
}

/// A store with the system's databases of the seed in it, for one test alone: tests that share a CouchDB each use
/// accounts of their own.
pub struct TestStore {
    pub kind: Kind,
    folder: Option<TempDir>,
    opened: Option<SharedServer>,
}

impl TestStore {
    pub fn new(kind: Kind) -> Self {
        let folder = matches!(kind, Kind::Embedded).then(|| tempfile::tempdir().unwrap());
        let mut store = Self { kind, folder, opened: None };
        if let Some(folder) = &store.folder {
            store.opened = Some(Arc::new(Embedded::open(folder.path(), views::ALL).unwrap()));
        }
        let is_systems = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with("system_");
        block_on(import(store.store().as_ref(), seed_files().into_iter().filter(is_systems)));
        store
    }

    /// A store to use from one runtime: connections of a CouchDB are not shared between runtimes.
    pub fn store(&self) -> SharedServer {
        match (&self.kind, &self.opened) {
            (_, Some(store)) => Arc::clone(store),
            (Kind::Couch(url), None) => Arc::new(Couch::new(&[url], &CouchOptions::default()).unwrap()),
            (Kind::Embedded, None) => unreachable!(),
        }
    }

    /// Opens the store again, once no other process has it.
    pub fn take_back(&mut self) {
        if let Some(folder) = &self.folder {
            self.opened = Some(Arc::new(Embedded::open(folder.path(), views::ALL).unwrap()));
        }
    }

    /// Closes an embedded store while another process may open it, and opens it again.
    pub fn lent<T>(&mut self, give: impl FnOnce(&Path) -> T) -> T {
        self.opened = None;
        let given = give(self.folder.as_ref().unwrap().path());
        self.take_back();
        given
    }

    /// Closes an embedded store, so that another process can open it; gives its folder.
    pub fn close(self) -> TempDir {
        drop(self.opened);
        self.folder.unwrap()
    }

    /// Starts the program before the store, which this process has open no longer then.
    pub fn served(&mut self, arguments: &[&str]) -> Served {
        self.opened = None;
        let store = match (&self.kind, &self.folder) {
            (Kind::Couch(url), _) => url.as_str(),
            (Kind::Embedded, Some(folder)) => {
                until_let_go(folder.path());
                folder.path().to_str().unwrap()
            }
            (Kind::Embedded, None) => unreachable!(),
        };
        Served::start(&[&["--rate-limit", "off", "--store", store], arguments].concat())
    }

    /// How many bytes the embedded store's file has.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(self.folder.as_ref().unwrap().path().join("store.redb")).unwrap().len()
    }

    /// A new account in the store, with a user whose token it comes with.
    pub fn account(&self) -> TestAccount {
        let (id, user): (AccountId, DocId) = (new_id(), new_id());
        let account = document(json!({
            "_id": id.as_str(), "name": "Test", "realm": format!("{id}.example.com"), "pvt_type": "account",
            "pvt_tree": ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"], "pvt_enabled": true,
        }));
        let account_user = document(json!({
            "_id": user.as_str(), "pvt_type": "user", "enabled": true, "pvt_signature_secret": "secret",
        }));
        let store = self.store();
        let token = block_on(async {
            prepare(store.as_ref(), &id.database()).await.unwrap();
            store.load(&id.database(), vec![account, account_user]).await.unwrap();
            let metrics = Metrics::new(SystemTime::now());
            let auth = Auth::new(store, metrics, Duration::from_secs(1), World::real());
            auth.issue(id, Some(&user), "test", 3600).await.unwrap()
        });
        TestAccount { id, user, token }
    }

    /// Gives the account's user credentials, and tells `accounts` of the account; gives the credentials and the realm.
    pub fn credentials(&self, account: &TestAccount) -> (String, String) {
        let (credentials, realm): (String, _) = (new_id(), format!("{}.example.com", account.id));
        let (id, store) = (account.id.as_str(), self.store());
        let copy = json!({"_id": id, "pvt_type": "account", "realm": realm, "pvt_account_id": id});
        block_on(async {
            let (database, accounts): (DbName, DbName) = (account.database(), "accounts".parse().unwrap());
            let mut user = Arc::unwrap_or_clone(store.get(&database, &account.user).await.unwrap().unwrap());
            user.extend(document(json!({"pvt_md5_auth": credentials, "pvt_account_id": id})));
            store.put(&database, &user).await.unwrap();
            prepare(store.as_ref(), &accounts).await.unwrap();
            store.load(&accounts, vec![document(copy)]).await.unwrap();
        });
        (credentials, realm)
    }
}

/// Waits until nobody here has an embedded store open: what a service that has stopped did in the background lets go of it a
/// moment later.
pub fn until_let_go(folder: &Path) {
    let begun = Instant::now();
    while let Err(error) = Embedded::open(folder, views::ALL) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// An account of one test's own.
#[derive(Debug, Clone)]
pub struct TestAccount {
    pub id: AccountId,
    pub user: DocId,
    pub token: String,
}

impl TestAccount {
    pub fn database(&self) -> DbName {
        self.id.database()
    }

    /// The account's database of this month, as it is named.
    pub fn database_of_this_month(&self) -> DbName {
        let now = time::gregorian_seconds(SystemTime::now());
        format!("{}-{}", self.database(), time::year_and_month(now)).parse().unwrap()
    }

    /// A path below the account.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/accounts/{}/{rest}", self.id)
    }
}

/// A document of a tree.
pub fn document(tree: Value) -> Document {
    Document::parse(&tree.to_string()).unwrap()
}

/// Writes a document in the place of the one that has its id, if there is one.
pub fn put(store: &SharedServer, database: &DbName, tree: Value) {
    let mut written = document(tree);
    block_on(async {
        let id: DocId = written.id().unwrap().parse().unwrap();
        if let Some(revision) = store.get(database, &id).await.unwrap().and_then(|found| found.revision()) {
            written.set_text("_rev", &revision.to_string());
        }
        store.put(database, &written).await.unwrap();
    });
}

/// What makes a group of this name, or gives one the name.
pub fn named(name: &str) -> Option<Value> {
    Some(json!({"data": {"name": name, "endpoints": {}}}))
}

/// The service, started in process on a free port; it stops when this is dropped.
pub struct TestApp {
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestApp {
    /// Starts the service with more arguments of `serve`.
    pub fn start(store: SharedServer, arguments: &[&str]) -> Self {
        let fixed = ["crossbar-groups", "serve", "--listen", "127.0.0.1:0", "--workers", "1"];
        let arguments = serve_arguments(&[&fixed[..], arguments].concat());
        let (told, listening) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let application = Application::build(&arguments, store, World::real()).unwrap();
                let (stop, stopped) = oneshot::channel();
                told.send((application.address(), application.admin_address(), stop)).unwrap();
                application.run_until(async { drop(stopped.await) }).await.unwrap();
            });
        });
        let (address, admin_address, stop) = listening.recv().unwrap();
        Self { address, admin_address, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts the service without limits, which most tests want.
    pub fn unlimited(store: SharedServer) -> Self {
        Self::start(store, &["--rate-limit", "off"])
    }

    /// Starts the service before the CouchDB that has these nodes, whether they are there or not.
    pub fn before(nodes: &[impl AsRef<str>]) -> Self {
        Self::asking(nodes, &CouchOptions::default())
    }

    /// The same; the nodes are asked as the options say.
    pub fn asking(nodes: &[impl AsRef<str>], options: &CouchOptions) -> Self {
        Self::unlimited(Arc::new(Couch::new(nodes, options).unwrap()))
    }

    /// Sends a request without a body.
    pub fn get(&self, path: &str, token: &str) -> client::Response {
        self.send("GET", path, token, None)
    }

    /// Sends a request; its body is JSON.
    pub fn send(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> client::Response {
        let body = body.map(|body| body.to_string());
        let headers = [("X-Auth-Token", token), ("Content-Type", "application/json")];
        client::send(self.address, method, path, &headers, body.as_deref().map(str::as_bytes)).unwrap()
    }

    /// Creates a group of these fields; gives its id.
    pub fn create(&self, account: &TestAccount, group: Value) -> String {
        let answer = self.send("PUT", &account.path("groups"), &account.token, Some(json!({ "data": group })));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Signs a user in; gives the status and the answer.
    pub fn sign_in(&self, credentials: &str, realm: &str) -> (u16, Value) {
        let data = json!({"data": {"credentials": credentials, "account_realm": realm}});
        let answer = self.send("PUT", "/v2/user_auth", "", Some(data));
        (answer.status, answer.json())
    }

    /// A scrape of the metrics: each sample's name and labels, and its value.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = client::send(self.admin_address, "GET", "/metrics", &[], None).unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        let mut samples = BTreeMap::new();
        for line in answer.text().lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
        }
        samples
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // it may have stopped by itself
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

fn serve_arguments(arguments: &[&str]) -> ServeArguments {
    match CommandLine::try_parse_from(arguments).unwrap().command {
        Command::Serve(arguments) => *arguments,
        _ => unreachable!(),
    }
}
