//! Made-up accounts, as dump files that `crossbar-groups import` takes. The first account of a set is above its others,
//! and the first user of each account can sign in to it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// The md5 of `bench:bench`: what each account's first user signs in with.
const MD5: &str = "0a7908b34a73b0b81ed410e0e2c50882";

/// When all of it was made, in gregorian seconds.
const CREATED: u64 = 63_900_000_000;

/// A set of accounts.
pub struct Set<'s> {
    pub name: &'s str,
    /// Another number gives other ids.
    pub salt: u64,
    pub accounts: usize,
    /// Groups of each account.
    pub groups: usize,
    /// Endpoints of each group: one half users, the other devices.
    pub endpoints: usize,
    /// Users of each account; there are as many devices.
    pub people: usize,
}

/// An account of a set.
struct Account {
    id: String,
    users: Vec<String>,
    devices: Vec<String>,
}

impl Set<'_> {
    /// Writes below `folder`:
    ///
    /// - `SET/NUMBER.json` for each account's database, and `SET/accounts.json`;
    /// - `SET.names`, for the shell: the first account, its realm and database, a user and a group of it;
    /// - `SET.paths`, the path of each account's groups;
    /// - `SET.create` and `SET.document`: what makes a group, here and in a CouchDB, with `@name@` for its name.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let dumps = folder.join(self.name);
        fs::create_dir_all(&dumps)?;
        let seed = self.name.bytes().fold(self.salt, |seed, byte| seed << 8 | u64::from(byte));
        let rng = &mut Rng::with_seed(seed);
        let mut accounts = Dump::create(&dumps.join("accounts.json"), "accounts")?;
        let mut paths = BufWriter::new(File::create(folder.join(self.name).with_extension("paths"))?);
        let mut first: Option<String> = None;
        for number in 0..self.accounts {
            let account = Account::draw(self.people, rng);
            let own = self.account(&account, number, first.as_ref());
            accounts.add(&own)?;
            writeln!(paths, "/v2/accounts/{}/groups", account.id)?;
            let mut dump = Dump::create(&dumps.join(format!("{number}.json")), &account.database("/"))?;
            dump.add(&own)?;
            for (number, id) in account.users.iter().enumerate() {
                dump.add(&account.user(number, id, rng))?;
            }
            for (number, id) in account.devices.iter().enumerate() {
                dump.add(&account.document(id, "device", json!({"name": format!("device-{number}")})))?;
            }
            for group in 0..self.groups {
                let id = hex(rng);
                dump.add(&account.group(&id, &format!("group-{group}"), self.endpoints, group))?;
                if first.is_none() && group == self.groups / 2 {
                    fs::write(folder.join(self.name).with_extension("names"), self.names(&account, &id))?;
                }
            }
            dump.end()?;
            if first.is_none() {
                self.creating(&account, folder)?;
                first = Some(account.id);
            }
        }
        accounts.end()
    }

    fn account(&self, account: &Account, number: usize, above: Option<&String>) -> Value {
        account.document(
            &account.id,
            "account",
            json!({
                "name": format!("Bench {} {number}", self.name),
                "realm": self.realm(number),
                "enabled": true,
                "pvt_enabled": true,
                "pvt_tree": above.into_iter().collect::<Vec<_>>(),
                "timezone": "America/Los_Angeles",
            }),
        )
    }

    fn realm(&self, number: usize) -> String {
        format!("bench-{}-{number}-{}.example.com", self.name.to_lowercase(), self.salt)
    }

    fn names(&self, account: &Account, group: &str) -> String {
        let set = self.name;
        format!(
            "account[{set}]={}\nrealm[{set}]={}\ndatabase[{set}]={}\nuser[{set}]={}\ngroup[{set}]={group}\n",
            account.id,
            self.realm(0),
            account.database("%2F"),
            account.users[0],
        )
    }

    fn creating(&self, account: &Account, folder: &Path) -> io::Result<()> {
        let document = account.group("x", "@name@", self.endpoints, 0);
        let mut document = document.as_object().cloned().unwrap_or_default();
        document.retain(|key, _| !matches!(key.as_str(), "_id" | "_rev"));
        let mut data = document.clone();
        data.retain(|key, _| !key.starts_with("pvt_"));
        let file = folder.join(self.name);
        fs::write(file.with_extension("document"), json!(document).to_string())?;
        fs::write(file.with_extension("create"), json!({"data": data}).to_string())
    }
}

impl Account {
    fn draw(people: usize, rng: &mut Rng) -> Self {
        let mut ids = || (0..people).map(|_| hex(rng)).collect();
        Self { users: ids(), devices: ids(), id: hex(rng) }
    }

    fn database(&self, slash: &str) -> String {
        let id = &self.id;
        ["account", &id[..2], &id[2..4], &id[4..]].join(slash)
    }

    fn document(&self, id: &str, kind: &str, fields: Value) -> Value {
        let mut document = json!({
            "_id": id,
            "_rev": format!("1-{id}"),
            "pvt_type": kind,
            "pvt_vsn": "1",
            "pvt_account_id": self.id,
            "pvt_account_db": self.database("%2F"),
            "pvt_created": CREATED,
            "pvt_modified": CREATED,
        });
        if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
            document.extend(fields);
        }
        document
    }

    fn user(&self, number: usize, id: &str, rng: &mut Rng) -> Value {
        let digest = if number == 0 { MD5.to_owned() } else { hex(rng) };
        self.document(
            id,
            "user",
            json!({
                "first_name": "User",
                "last_name": format!("{number}"),
                "username": format!("user-{number}"),
                "priv_level": if number == 0 { "admin" } else { "user" },
                "enabled": true,
                "pvt_md5_auth": digest,
                "pvt_signature_secret": hex(rng),
            }),
        )
    }

    fn group(&self, id: &str, name: &str, endpoints: usize, number: usize) -> Value {
        let kinds = [("user", &self.users), ("device", &self.devices)];
        let endpoint = |place: usize| {
            let (kind, ids) = kinds[place % 2];
            let id = ids[(number + place / 2) % ids.len()].clone();
            (id, json!({"type": kind, "weight": place + 1, "timeout": 20}))
        };
        let endpoints: Map<String, Value> = (0..endpoints).map(endpoint).collect();
        self.document(
            id,
            "group",
            json!({"name": name, "endpoints": endpoints, "music_on_hold": {}, "flags": ["bench"]}),
        )
    }
}

fn hex(rng: &mut Rng) -> String {
    format!("{:032x}", rng.u128(..))
}

/// A dump file that is being written.
struct Dump {
    file: BufWriter<File>,
    separator: &'static str,
}

impl Dump {
    fn create(file: &Path, database: &str) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(file)?);
        write!(file, "{{\"db\": {}, \"docs\": [", json!(database))?;
        Ok(Self { file, separator: "\n" })
    }

    fn add(&mut self, document: &Value) -> io::Result<()> {
        write!(self.file, "{}{document}", self.separator)?;
        self.separator = ",\n";
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        writeln!(self.file, "\n]}}")?;
        self.file.flush()
    }
}
