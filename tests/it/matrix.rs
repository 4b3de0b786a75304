//! Who may what: credentials by accounts by operations, each row with its reason. Where the reason says *Kazoo*, that is
//! how it was recorded or documented; where it says *ours*, Kazoo lets in whom nobody would expect.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::common::client::{self, Response};
use crate::common::{Kind, TestApp, TestStore, block_on, document, named, new_id, put};
use crossbar_groups::databases::prepare;
use crossbar_groups::document::{DbName, DocId};
use crossbar_groups::kazoo::account::AccountId;
use crossbar_groups::store::SharedServer;

/// What is tried, in this order, and the status of each.
const OPERATIONS: [&str; 10] =
    ["list", "a user's groups", "read", "create", "replace", "patch", "delete", "read a schema", "about", "validate"];
type Answers = [u16; 10];

const ALL: Answers = [200, 200, 200, 201, 200, 200, 200, 200, 200, 201];
const NOBODY: Answers = [401, 401, 401, 401, 401, 401, 401, 200, 401, 201];
const STRANGER: Answers = [403, 403, 403, 403, 403, 403, 403, 200, 200, 201];
const READER: Answers = [200, 200, 200, 403, 403, 403, 403, 403, 403, 403];
const NOT_FOUND: Answers = [404, 404, 404, 404, 404, 404, 404, 200, 200, 201];
const EXPIRED: Answers = [400, 400, 400, 400, 400, 400, 400, 200, 400, 201];

/// The system's signing key.
const SYSTEM_KEY: &str = "90a960a798d9c9fd26dbce6745958214";
const FAR: i64 = 4_000_000_000;

/// An account's or a user's secrets.
struct Person {
    account: AccountId,
    user: Option<DocId>,
    secret: String,
    md5: String,
}

/// The accounts of the test, in a store of its own or a CouchDB that others use.
struct Town {
    store: SharedServer,
    pem: Vec<u8>,
    identity_secret: String,
}

const GROUP: &str = "11111111111111111111111111111111";

impl Town {
    fn new(test: &TestStore) -> Self {
        let store = test.store();
        let (system_auth, system_config) = (DbName::fixed("system_auth"), DbName::fixed("system_config"));
        let (pem, config) = block_on(async {
            let pem = store.attachment(&system_auth, &DocId::fixed(SYSTEM_KEY), "private_key.pem").await;
            (pem.unwrap().unwrap(), store.get(&system_config, &DocId::fixed("auth")).await.unwrap().unwrap())
        });
        let config: Value = serde_json::from_str(&config.to_json()).unwrap();
        let identity_secret = config["default"]["secret_for_user_signature"].as_str().unwrap().to_owned();
        Self { store, pem: pem.to_vec(), identity_secret }
    }

    /// An account below others, with a group; `fields` are more of its document, null is for no document at all.
    fn account(&self, above: &[AccountId], fields: Value) -> Person {
        let id: AccountId = new_id();
        let database = id.database();
        let person = Person { account: id, user: None, secret: "of the account".to_owned(), md5: new_id() };
        let above: Vec<&str> = above.iter().map(AccountId::as_str).collect();
        let mut documents = vec![document(json!({
            "_id": GROUP, "pvt_type": "group", "name": "Before", "endpoints": {}, "pvt_account_id": id.as_str(),
        }))];
        if !fields.is_null() {
            let account = json!({
                "_id": id.as_str(), "name": "Town", "realm": format!("{id}.example.com"), "pvt_type": "account",
                "pvt_tree": above, "pvt_enabled": true, "pvt_signature_secret": person.secret,
            });
            documents.push(document(merged(account, fields)));
        }
        block_on(async {
            prepare(self.store.as_ref(), &database).await.unwrap();
            self.store.load(&database, documents).await.unwrap();
        });
        person
    }

    /// A user of an account; `fields` are more of its document, null takes one away.
    fn user(&self, of: &Person, fields: Value) -> Person {
        let id: DocId = new_id();
        let (secret, md5): (String, String) = (new_id(), new_id());
        let user = json!({
            "_id": id.as_str(), "pvt_type": "user", "enabled": true, "pvt_signature_secret": secret,
            "pvt_md5_auth": md5, "pvt_account_id": of.account.as_str(), "priv_level": "admin",
        });
        let user = document(merged(user, fields));
        block_on(self.store.load(&of.account.database(), vec![user])).unwrap();
        Person { account: of.account, user: Some(id), secret, md5 }
    }

    /// What a token of somebody claims; null in `fields` takes a claim away.
    fn claims(&self, of: &Person, fields: Value) -> Value {
        let user = of.user.as_ref().map(DocId::as_str);
        let key = hmac::Key::new(hmac::HMAC_SHA256, [of.secret.as_str(), &self.identity_secret].concat().as_bytes());
        let signature = hmac::sign(&key, user.unwrap_or(of.account.as_str()).as_bytes());
        let claims = json!({
            "iss": "kazoo", "account_id": of.account.as_str(), "owner_id": user, "method": "cb_user_auth", "exp": FAR,
            "identity_sig": URL_SAFE_NO_PAD.encode(signature),
        });
        merged(claims, fields)
    }

    /// A token of these claims, signed with the system's key in the name of the key `kid`.
    fn signed(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_pem(&self.pem).unwrap()).unwrap()
    }

    /// A token as Kazoo makes it, but for some claims.
    fn token(&self, of: &Person, fields: Value) -> With {
        With::Token(self.signed(SYSTEM_KEY, &self.claims(of, fields)))
    }

    /// A token whose header says another algorithm, signed by `sign`.
    fn forged(&self, of: &Person, algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> With {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": SYSTEM_KEY}).to_string();
        let claims = self.claims(of, json!({})).to_string();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        With::Token(format!("{text}.{}", URL_SAFE_NO_PAD.encode(sign(text.as_bytes()))))
    }

    /// The public half of the system's key, as anybody may know it.
    fn public_key(&self) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair;
        let key = EncodingKey::from_rsa_pem(&self.pem).unwrap();
        let pair = aws_lc_rs::rsa::KeyPair::from_der(key.as_bytes()).unwrap();
        pair.public_key().as_ref().to_vec()
    }
}

/// An object with the fields of another; null takes one away.
fn merged(mut object: Value, fields: Value) -> Value {
    let merged = object.as_object_mut().unwrap();
    merged.extend(fields.as_object().unwrap().clone());
    merged.retain(|_, value| !value.is_null());
    object
}

/// What a request carries.
enum With {
    Nothing,
    Token(String),
    Basic(String),
}

impl With {
    fn basic(account: AccountId, credentials: &str) -> Self {
        Self::Basic(format!("Basic {}", STANDARD.encode(format!("{account}:{credentials}"))))
    }

    fn send(&self, app: &TestApp, method: &str, path: &str, body: Option<Value>) -> Response {
        let own = match self {
            Self::Nothing => ("X-Nothing", "here"),
            Self::Token(token) => ("X-Auth-Token", token.as_str()),
            Self::Basic(basic) => ("Authorization", basic.as_str()),
        };
        let body = body.map(|body| body.to_string());
        let headers = [own, ("Content-Type", "application/json")];
        client::send(app.address, method, path, &headers, body.as_deref().map(str::as_bytes)).unwrap()
    }

    /// The status of each operation on an account, to whose user the groups belong.
    fn try_all(&self, app: &TestApp, account: AccountId, user: &DocId) -> Answers {
        let groups = format!("/v2/accounts/{account}/groups");
        let group = format!("{groups}/{GROUP}");
        let status = |method: &str, path: &str, body| self.send(app, method, path, body).status;
        let created = self.send(app, "PUT", &groups, named("New"));
        let made = (created.status == 201).then(|| created.json()["data"]["id"].as_str().unwrap().to_owned());
        [
            status("GET", &groups, None),
            status("GET", &format!("/v2/accounts/{account}/users/{user}/groups"), None),
            status("GET", &group, None),
            created.status,
            status("POST", &group, named("After")),
            status("PATCH", &group, Some(json!({"data": {"name": "After all"}}))),
            status("DELETE", &format!("{groups}/{}", made.as_deref().unwrap_or(GROUP)), None),
            status("GET", "/v2/schemas/groups", None),
            status("GET", "/v2/about", None),
            status("PUT", "/v2/schemas/groups/validation", named("Valid")),
        ]
    }
}

#[test]
fn who_may_what() {
    for kind in Kind::all() {
        let test = TestStore::new(kind);
        let town = Town::new(&test);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;

        let master = town.account(&[], json!({"pvt_superduper_admin": true, "pvt_reseller": true}));
        let reseller = town.account(&[master.account], json!({"pvt_reseller": true}));
        let above = [master.account, reseller.account];
        let own = town.account(&above, json!({}));
        let child = town.account(&[&above[..], &[own.account]].concat(), json!({}));
        let sibling = town.account(&above, json!({}));
        let disabled = town.account(&above, json!({"pvt_enabled": false}));
        let expired = town.account(&above, json!({"pvt_trial_expires": 63_000_000_000_i64}));
        let trial = town.account(&above, json!({"pvt_trial_expires": 99_000_000_000_i64}));
        let deleted = town.account(&above, json!({"pvt_deleted": true}));
        let bare = town.account(&above, Value::Null);
        let limited = town.account(&above, json!({}));
        let reads = json!({"_": {"user": {"groups": [{"rules": {"#": ["GET"]}}]}}});
        put(&town.store, &limited.account.database(), json!({"_id": "token_restrictions", "restrictions": reads}));

        let admin = town.user(&own, json!({}));
        let user = town.user(&own, json!({"priv_level": "user"}));
        let off = town.user(&own, json!({"enabled": false}));
        let unsaid = town.user(&own, json!({"enabled": null}));
        let gone = town.user(&own, json!({"pvt_deleted": true}));
        let of_child = town.user(&child, json!({}));
        let of_sibling = town.user(&sibling, json!({}));
        let of_reseller = town.user(&reseller, json!({}));
        let of_master = town.user(&master, json!({}));
        let of_disabled = town.user(&disabled, json!({}));
        let of_expired = town.user(&expired, json!({}));
        let of_trial = town.user(&trial, json!({}));
        let of_deleted = town.user(&deleted, json!({}));
        let of_bare = town.user(&bare, json!({}));
        let limited_admin = town.user(&limited, json!({}));
        let limited_user = town.user(&limited, json!({"priv_level": "user"}));
        let foreign_owner = Person {
            account: own.account,
            user: of_sibling.user.clone(),
            secret: of_sibling.secret.clone(),
            md5: new_id(),
        };

        let token = |of: &Person| town.token(of, json!({}));
        let public_key = town.public_key();
        let by_public_key =
            |text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public_key), text).as_ref().to_vec();
        let tampered = |of: &Person| {
            let (good, other) =
                (town.signed(SYSTEM_KEY, &town.claims(of, json!({}))), town.claims(&of_master, json!({})));
            let parts: Vec<&str> = good.split('.').collect();
            With::Token(format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(other.to_string()), parts[2]))
        };
        let sig = json!({"identity_sig": URL_SAFE_NO_PAD.encode([7; 32])});
        let no_sig = json!({"identity_sig": null});

        #[rustfmt::skip]
        let rows: Vec<(&str, With, &Person, Answers, &str)> = vec![
            // what is no token
            ("nothing", With::Nothing, &admin, NOBODY, "Kazoo: schemas are for anybody, all else asks for a token"),
            ("an empty token", With::Token(String::new()), &admin, NOBODY, "Kazoo: it is none"),
            ("a word", With::Token("garbage".into()), &admin, NOBODY, "Kazoo: it can't be read"),
            ("three words", With::Token("a.b.c".into()), &admin, NOBODY, "it can't be read"),
            ("nothing, of an unknown account", With::Nothing, &of_bare, [404, 404, 404, 404, 404, 404, 404, 200, 401, 201], "Kazoo: it looks for the account first"),
            // tokens that are not believed
            ("expired", town.token(&admin, json!({"exp": now - 1})), &admin, NOBODY, "Kazoo: it has ended"),
            ("not yet valid", town.token(&admin, json!({"nbf": now + 600})), &admin, NOBODY, "ours: RFC 7519 says that it must not be accepted; Kazoo does not look"),
            ("valid since", town.token(&admin, json!({"nbf": now - 600})), &admin, ALL, "it holds"),
            ("without an end", town.token(&admin, json!({"exp": null})), &admin, ALL, "Kazoo: it does not end"),
            ("an end that is no number", town.token(&admin, json!({"exp": "never"})), &admin, NOBODY, "it can't be read"),
            ("of another issuer", town.token(&admin, json!({"iss": "https://example.com"})), &admin, NOBODY, "Kazoo: it is none of ours"),
            ("of no issuer", town.token(&admin, json!({"iss": null})), &admin, NOBODY, "the same"),
            ("with other claims", tampered(&admin), &admin, NOBODY, "Kazoo: the signature is of other claims"),
            ("alg: none", town.forged(&admin, "none", |_| Vec::new()), &admin, NOBODY, "Kazoo: anybody could make it"),
            ("alg: HS256", town.forged(&admin, "HS256", by_public_key), &admin, NOBODY, "Kazoo: anybody knows the public key"),
            ("alg: RS256, so signed", town.forged(&admin, "RS256", by_public_key), &admin, NOBODY, "it is no such signature"),
            ("of an unknown key", With::Token(town.signed("ffffffffffffffffffffffffffffffff", &town.claims(&admin, json!({})))), &admin, NOBODY, "Kazoo: nobody has the key"),
            ("of no key", With::Token(town.signed("", &town.claims(&admin, json!({})))), &admin, NOBODY, "the same"),
            ("wrong identity_sig", town.token(&admin, sig.clone()), &admin, NOBODY, "Kazoo: it is of a secret that was replaced"),
            ("no identity_sig", town.token(&admin, no_sig.clone()), &admin, ALL, "Kazoo: only one that is there is checked"),
            ("no account", town.token(&admin, json!({"account_id": null})), &admin, NOBODY, "it speaks for nobody"),
            ("an account that is none", town.token(&admin, json!({"account_id": "x", "identity_sig": null})), &admin, NOBODY, "the same"),
            // users
            ("admin", token(&admin), &admin, ALL, "Kazoo: the account's own"),
            ("user", token(&user), &admin, ALL, "Kazoo: only token restrictions look at priv_level"),
            ("user without enabled", token(&unsaid), &admin, ALL, "Kazoo: nothing switches them off"),
            ("disabled user", token(&off), &admin, NOBODY, "ours: in Kazoo the token goes on until it ends"),
            ("disabled user, no identity_sig", town.token(&off, no_sig.clone()), &admin, NOBODY, "ours: the same"),
            ("deleted user", token(&gone), &admin, NOBODY, "ours: in Kazoo the token goes on until it ends"),
            ("deleted user, no identity_sig", town.token(&gone, no_sig.clone()), &admin, NOBODY, "ours: the same"),
            ("unknown user, no identity_sig", town.token(&admin, json!({"owner_id": GROUP.replace('1', "9"), "identity_sig": null})), &admin, NOBODY, "ours: who is not there can't ask"),
            ("user of another account", town.token(&foreign_owner, json!({})), &admin, NOBODY, "it is no user of the account"),
            ("user of another account, no identity_sig", town.token(&foreign_owner, no_sig.clone()), &admin, NOBODY, "ours: the same"),
            ("the account itself", town.token(&own, json!({"method": "cb_api_auth"})), &admin, ALL, "Kazoo: an API key's token has no user"),
            ("the account itself, wrong identity_sig", town.token(&own, sig), &admin, NOBODY, "Kazoo: the account's secret was replaced"),
            // accounts
            ("user of it, in the account below", token(&admin), &of_child, ALL, "Kazoo: an ancestor"),
            ("user of the account below", token(&of_child), &admin, STRANGER, "Kazoo: no ancestor"),
            ("user of a sibling", token(&of_sibling), &admin, STRANGER, "Kazoo: no ancestor"),
            ("user of the reseller", token(&of_reseller), &admin, ALL, "Kazoo: an ancestor"),
            ("user of it, in the reseller's", token(&admin), &of_reseller, STRANGER, "Kazoo: no ancestor"),
            ("user of the master", token(&of_master), &admin, ALL, "Kazoo: superduper admin"),
            ("user of it, in the master's", token(&admin), &of_master, STRANGER, "Kazoo: no ancestor"),
            ("user of a disabled account", token(&of_disabled), &of_disabled, ALL, "Kazoo: recorded so; who is disabled can't sign in, so it ends within the hour"),
            ("user of the master, in the disabled one", token(&of_master), &of_disabled, ALL, "Kazoo: recorded so"),
            ("user of an account whose trial ended", token(&of_expired), &of_expired, EXPIRED, "Kazoo: it must pay first"),
            ("the same, elsewhere", token(&of_expired), &admin, EXPIRED, "Kazoo: it must pay first, whatever it asks"),
            ("user of the master, in it", token(&of_master), &of_expired, ALL, "Kazoo: only the token's own account counts"),
            ("user of an account whose trial goes on", token(&of_trial), &of_trial, ALL, "Kazoo: it is one as any other"),
            ("user of a deleted account", token(&of_deleted), &of_deleted, [404, 404, 404, 404, 404, 404, 404, 200, 401, 201], "ours: there is no account to ask for"),
            ("the same, elsewhere", token(&of_deleted), &admin, NOBODY, "ours: who is not there can't ask"),
            ("the same, no identity_sig", town.token(&of_deleted, no_sig), &admin, NOBODY, "ours: the same"),
            ("user of the master, in the deleted one", token(&of_master), &of_deleted, NOT_FOUND, "Kazoo: it is not there"),
            ("user of an account without a document", token(&of_bare), &admin, NOBODY, "ours: who is not there can't ask"),
            ("user of the master, in that one", token(&of_master), &of_bare, NOT_FOUND, "Kazoo: it is not there"),
            // restrictions
            ("user that may read", token(&limited_user), &limited_user, READER, "Kazoo: what the rules don't name is refused, open resources too"),
            ("admin beside it", token(&limited_admin), &limited_user, ALL, "Kazoo: the rules name only users"),
            ("user of the master, there", token(&of_master), &limited_user, ALL, "Kazoo: the account's own tokens are restricted"),
            // HTTP Basic
            ("Basic", With::basic(own.account, &admin.md5), &admin, ALL, "Kazoo: a sign-in with each request"),
            ("Basic, in the account below", With::basic(own.account, &admin.md5), &of_child, ALL, "Kazoo: an ancestor"),
            ("Basic, in a sibling", With::basic(own.account, &admin.md5), &of_sibling, STRANGER, "Kazoo: no ancestor"),
            ("Basic, wrong password", With::basic(own.account, &new_id::<String>()), &admin, NOBODY, "Kazoo: nobody's"),
            ("Basic, user of another account", With::basic(own.account, &of_sibling.md5), &admin, NOBODY, "Kazoo: nobody's there"),
            ("Basic, no credentials", With::basic(own.account, ""), &admin, NOBODY, "nobody's"),
            ("Basic, disabled user", With::basic(own.account, &off.md5), &admin, NOBODY, "Kazoo: in no view of credentials"),
            ("Basic, deleted user", With::basic(own.account, &gone.md5), &admin, NOBODY, "Kazoo: in no view of credentials"),
            ("Basic, disabled account", With::basic(disabled.account, &of_disabled.md5), &of_disabled, EXPIRED, "ours: it is a sign-in, which Kazoo refuses so, but not here"),
            ("Basic, account whose trial ended", With::basic(expired.account, &of_expired.md5), &of_expired, EXPIRED, "Kazoo: it must pay first"),
            ("Basic, deleted account", With::basic(deleted.account, &of_deleted.md5), &admin, NOBODY, "it is not there"),
            ("Basic, user that may read", With::basic(limited.account, &limited_user.md5), &limited_user, READER, "ours: restrictions hold here too"),
        ];

        let app = TestApp::unlimited(test.store());
        let mut different = Vec::new();
        for (who, with, place, expected, reason) in rows {
            let group = || {
                let id = DocId::fixed(GROUP);
                block_on(town.store.get(&place.account.database(), &id)).unwrap().map(|group| group.to_json())
            };
            let before = group();
            let answers = with.try_all(&app, place.account, place.user.as_ref().unwrap());
            let wrong = OPERATIONS.iter().zip(answers).zip(expected).filter(|((_, found), wanted)| found != wanted);
            let wrong: Vec<_> = wrong.map(|((what, found), wanted)| format!("{what} {found}, not {wanted}")).collect();
            if !wrong.is_empty() {
                different.push(format!("{who}: {} ({reason})", wrong.join("; ")));
            }
            let may_write = expected[4] == 200;
            assert_eq!(group() != before, may_write, "{who}: written or not");
        }
        assert!(different.is_empty(), "{:?}:\n{}", test.kind, different.join("\n"));
    }
}

#[test]
fn a_removed_signing_key_ends_its_tokens() {
    // in a store of its own: the keys of a CouchDB are everybody's
    let test = TestStore::new(Kind::Embedded);
    let town = Town::new(&test);
    let admin = town.user(&town.account(&[], json!({})), json!({}));
    let (system_auth, kid): (_, String) = (DbName::fixed("system_auth"), new_id());
    let pem = json!({"content_type": "application/x-pem-file", "data": STANDARD.encode(&town.pem)});
    let key = json!({"_id": kid, "_rev": "1-a", "pvt_type": "system_key", "_attachments": {"private_key.pem": pem}});
    block_on(town.store.load(&system_auth, vec![document(key)])).unwrap();
    let app = TestApp::start(test.store(), &["--rate-limit", "off", "--auth-cache", "0.1"]);
    let token = town.signed(&kid, &town.claims(&admin, json!({})));
    let groups = format!("/v2/accounts/{}/groups", admin.account);
    assert_eq!(app.get(&groups, &token).status, 200);
    block_on(town.store.load(&system_auth, vec![document(json!({"_id": kid, "_rev": "2-a", "_deleted": true}))]))
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(app.get(&groups, &token).status, 401);
    let own = town.signed(SYSTEM_KEY, &town.claims(&admin, json!({})));
    assert_eq!(app.get(&groups, &own).status, 200, "the system's key is there");
}
