//! `serve --demo`: made-up accounts in a temporary store, and what a new user needs to try them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};

use crate::auth::Auth;
use crate::document::{DocId, hex};
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

/// The system's own account, above all others.
pub const MASTER_ACCOUNT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1";

/// The account below it, of which are who signs in and the demo's token.
const ADMIN_ACCOUNT: &str = "3e30d852896b2a7fd6dd579074f12a3b";

/// The account below that, whose groups the demo shows.
pub const ACCOUNT: &str = "3b4563ea9f44c060cb5464e76772d7e3";

const ACCOUNTS: [(&str, &str); 3] = [
    (MASTER_ACCOUNT, "oracle_master, the system's own, above all others"),
    (ADMIN_ACCOUNT, "Birch Dental"),
    (ACCOUNT, "Coral Clinic, below Birch Dental"),
];

/// The user for whom the demo's token speaks: Birch Dental's administrator, who may act on Coral Clinic too.
const ADMIN: &str = "7833d1822b9fba91acd8aeb8a3d4eaee";

/// The administrator's name. This and all else here is made up, and stands in `fixtures/` too.
pub const USER_NAME: &str = "beaadmin";

/// The administrator's password.
pub const PASSWORD: &str = "beaadmin-pw1";

/// Birch Dental, as one who signs in names it.
pub const ACCOUNT_NAME: &str = "birchdental";

/// The key of Birch Dental's programs.
pub const API_KEY: &str = "fddfb3e4176d98a59a5cc07082d8c97c2a00de59135a61df55b91f5bda741b64";

/// A group of Coral Clinic.
pub const GROUP: &str = "0a000000000000000000000000000001";

/// A user of Coral Clinic.
pub const USER: &str = "849e9b7d4d7c707f6e7e814449871de2";

/// Another group of Coral Clinic, that nobody will miss.
pub const OTHER_GROUP: &str = "4e000000000000000000000000000005";

/// What the administrator's name and password are sent as.
pub fn credentials() -> String {
    hex(&Md5::digest(format!("{USER_NAME}:{PASSWORD}")))
}

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
    issue(&Auth::new(store, Metrics::new((world.now)()), Duration::from_secs(1), world)).await
}

/// The same of a service that runs.
pub async fn issue(auth: &Auth) -> Result<String, Error> {
    let failed = |what: &str| Error::Token(what.to_owned());
    let account: AccountId = ADMIN_ACCOUNT.parse().map_err(|_| failed("no account"))?;
    let user: DocId = ADMIN.parse().map_err(|_| failed("no user"))?;
    auth.issue(account, Some(&user), "demo", LIFETIME_S).await.map_err(|error| failed(&error.to_string()))
}

/// What to tell who started the demo: first where its page is, if there is one.
pub fn introduction(url: &str, page: Option<&str>, token: &str) -> String {
    let accounts: Vec<String> = ACCOUNTS.iter().map(|(id, name)| format!("  {id}  {name}")).collect();
    let page = page.map(|page| format!("{url}{page}  opens signed in\n\n")).unwrap_or_default();
    let json = "-H 'Content-Type: application/json'";
    let curl = "curl -sS -H \"X-Auth-Token: $TOKEN\"";
    format!(
        "\
{page}Kazoo's groups at {url}, from a temporary store that is gone when this stops (Ctrl-C).

Accounts
{accounts}

Birch Dental's administrator, who may act on Coral Clinic too, signs in
  as a user      {USER_NAME}, password {PASSWORD}, account's name {ACCOUNT_NAME}
  by an API key  {API_KEY}

Try, in another terminal:

# a token, and an account; then these commands work in any order, and those of the documentation too
export TOKEN={token}
export A={url}/v2/accounts/{ACCOUNT}

# tokens like it
curl -sS -X PUT {json} '{url}/v2/user_auth' -d '{{\"data\":{{\"credentials\":\"{credentials}\",\"account_name\":\"{ACCOUNT_NAME}\"}}}}'
curl -sS -X PUT {json} '{url}/v2/api_auth' -d '{{\"data\":{{\"api_key\":\"{API_KEY}\"}}}}'

# all groups of Coral Clinic
{curl} \"$A/groups?pretty_print=true\"

# the groups of one of its users, two at a time
{curl} \"$A/users/{USER}/groups?page_size=2\"

# make a group
{curl} -X PUT {json} \"$A/groups\" -d '{{\"data\":{{\"name\":\"Front desk\",\"endpoints\":{{\"{USER}\":{{\"type\":\"user\",\"weight\":1}}}}}}}}'

# change a group
{curl} -X PATCH {json} \"$A/groups/{GROUP}\" -d '{{\"data\":{{\"name\":\"Reception\",\"flags\":[\"vip\"]}}}}'

# whom it rings
{curl} \"$A/groups/{GROUP}/rings\"

# delete a group
{curl} -X DELETE \"$A/groups/{OTHER_GROUP}\"
",
        accounts = accounts.join("\n"),
        credentials = credentials(),
    )
}
