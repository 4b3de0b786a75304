//! `serve --demo`: made-up accounts in a temporary store, and what a new user needs to try them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::auth::Auth;
use crate::document::DocId;
use crate::dump::{self, Dump};
use crate::kazoo::account::AccountId;
use crate::metrics::Metrics;
use crate::store::{Server, SharedStore};
use crate::world::World;

/// The databases of the demo: what a running Kazoo left in its CouchDB, made up throughout.
const DUMPS: [&str; 12] = [
    include_str!("../fixtures/seed/account%2F23%2Fcb%2F9daa4d26bf0ba43047733a6cfadf.json"),
    include_str!("../fixtures/seed/account%2F24%2Fe3%2F2619a5db7fc34bc3007d2f15cf86.json"),
    include_str!("../fixtures/seed/account%2F3b%2F45%2F63ea9f44c060cb5464e76772d7e3.json"),
    include_str!("../fixtures/seed/account%2F3e%2F30%2Fd852896b2a7fd6dd579074f12a3b.json"),
    include_str!("../fixtures/seed/account%2F59%2Fd7%2F1a60cd177855a78f0ef634ceea46.json"),
    include_str!("../fixtures/seed/account%2F83%2F83%2F0cdbb8c71f1f34608c9f6127f43a.json"),
    include_str!("../fixtures/seed/account%2Faa%2Faa%2Faaaaaaaaaaaaaaaaaaaaaaaaaaa1.json"),
    include_str!("../fixtures/seed/account%2Fc0%2F89%2F15752b73d4eaaf27ef25f3ee1424.json"),
    include_str!("../fixtures/seed/account%2Ffb%2F67%2F5f2f4b8c128353c34520cdf3b5cd.json"),
    include_str!("../fixtures/seed/accounts.json"),
    include_str!("../fixtures/seed/system_auth.json"),
    include_str!("../fixtures/seed/system_config.json"),
];

/// The demo's accounts: their ids and what they are.
const ACCOUNTS: [(&str, &str); 3] = [
    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "oracle_master, the system's own, above all others"),
    ("3e30d852896b2a7fd6dd579074f12a3b", "Birch Dental"),
    ("3b4563ea9f44c060cb5464e76772d7e3", "Coral Clinic, below Birch Dental"),
];

/// Who the demo's token speaks for: Birch Dental's administrator. It may act on Coral Clinic too.
const ADMIN: (&str, &str) = ("3e30d852896b2a7fd6dd579074f12a3b", "7833d1822b9fba91acd8aeb8a3d4eaee");

/// A group and a user of Coral Clinic, and another group that nobody will miss.
const GROUP: &str = "0a000000000000000000000000000001";
const USER: &str = "849e9b7d4d7c707f6e7e814449871de2";
const OTHER_GROUP: &str = "4e000000000000000000000000000005";

/// How long the demo's token holds.
const LIFETIME_S: i64 = 7 * 24 * 3600;

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its data could not be loaded.
    #[error(transparent)]
    Dump(#[from] dump::Error),
    /// The temporary folder can't be written.
    #[error("can't write the demo's files: {0}")]
    Folder(#[from] std::io::Error),
    /// No token could be made.
    #[error("can't make the demo's token: {0}")]
    Token(String),
}

/// Fills a store with the demo's accounts.
pub async fn fill(store: &dyn Server, folder: &Path) -> Result<(), Error> {
    let file = folder.join("dump.json");
    for dump in DUMPS {
        fs::write(&file, dump)?;
        Dump::check(&file)?.import(store, |_| {}).await?;
    }
    fs::remove_file(file)?;
    Ok(())
}

/// A token that the demo's store accepts.
pub async fn token(store: SharedStore, world: World) -> Result<String, Error> {
    let failed = |what: &str| Error::Token(what.to_owned());
    let auth = Auth::new(store, Metrics::new((world.now)()), Duration::from_secs(1), world);
    let account: AccountId = ADMIN.0.parse().map_err(|_| failed("no account"))?;
    let user: DocId = ADMIN.1.parse().map_err(|_| failed("no user"))?;
    auth.issue(account, Some(&user), "demo", LIFETIME_S).await.map_err(|error| failed(&error.to_string()))
}

/// What to tell who started the demo. The token is put into a file of `folder` as a header, for curl to read.
pub fn introduction(url: &str, token: &str, folder: &Path) -> Result<String, Error> {
    let header = folder.join("token");
    fs::write(&header, format!("X-Auth-Token: {token}\n"))?;
    let curl = format!("curl -sS -H @{}", header.display());
    let coral = format!("{url}/v2/accounts/{}", ACCOUNTS[2].0);
    let json = "-H 'Content-Type: application/json'";
    let accounts: Vec<String> = ACCOUNTS.iter().map(|(id, name)| format!("  {id}  {name}")).collect();
    Ok(format!(
        "\
Kazoo's groups at {url}, from a temporary store that is gone when this stops (Ctrl-C).

Accounts
{accounts}

A token of Birch Dental's administrator (X-Auth-Token; the commands below read it from a file)
  {token}

Try, in another terminal:

# all groups of Coral Clinic
{curl} '{coral}/groups?pretty_print=true'

# the groups of one of its users, two at a time
{curl} '{coral}/users/{USER}/groups?page_size=2'

# make a group
{curl} -X PUT {json} '{coral}/groups' -d '{{\"data\":{{\"name\":\"Front desk\",\"endpoints\":{{\"{USER}\":{{\"type\":\"user\",\"weight\":1}}}}}}}}'

# change a group
{curl} -X PATCH {json} '{coral}/groups/{GROUP}' -d '{{\"data\":{{\"name\":\"Reception\",\"flags\":[\"vip\"]}}}}'

# delete a group
{curl} -X DELETE '{coral}/groups/{OTHER_GROUP}'
",
        accounts = accounts.join("\n"),
    ))
}
