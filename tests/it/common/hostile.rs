//! Requests as nobody should send them, made up from a seed: what is mangled is the method, the path, the query, the
//! headers, the body, or how all of it is put on the wire.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use fastrand::Rng;

/// Whom requests are about.
pub struct Targets {
    /// The account that the requests' own token is of, and a user of it.
    pub own: (String, String),
    /// The token.
    pub token: String,
    /// An account that the token may not act on, with a user.
    pub other: (String, String),
    /// A token of that account. It is only ever sent mangled.
    pub other_token: String,
    /// A token of a third account, which may act on neither.
    pub foreign_token: String,
    /// Ids of documents of both accounts.
    pub ids: Vec<String>,
}

/// A request, as its bytes.
pub struct Hostile {
    pub bytes: Vec<u8>,
    /// How many answers it must get: one if it is HTTP, however odd; of what is not HTTP none is asked.
    pub answers: usize,
}

const METHODS: [&str; 9] = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "FROB", "get"];

/// What is put somewhere into a path.
const IN_PATHS: [&str; 26] = [
    "%",
    "%2",
    "%zz",
    "%00",
    "%0a",
    "%2f",
    "%2F..%2f",
    "%2e%2e",
    "..",
    "../..",
    "/",
    "//",
    ";",
    "%ff",
    "%c3%28",
    "%25",
    "_design/groups",
    "_all_docs",
    "_",
    "%5f",
    ".",
    "*",
    "groups",
    "accounts",
    "undefined",
    "+",
];

/// Texts with which something may go wrong wherever they stand.
const TEXTS: [&str; 24] = [
    "",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "null",
    "true",
    "NaN",
    "[]",
    "{}",
    "_id",
    "pvt_type",
    "__proto__",
    "constructor",
    "%00",
    "'\"",
    "é",
    "\u{202e}",
    "a.b.c",
    "g20AAAABOA",
    "g20",
    "\u{1f600}",
    "../x",
    "<script>",
];

const PARAMETERS: [&str; 24] = [
    "page_size",
    "start_key",
    "paginate",
    "has_key",
    "key_missing",
    "has_value",
    "value_missing",
    "filter_name",
    "filter_not_name",
    "filter_endpoints.a.b",
    "filter_",
    "created_from",
    "modified_to",
    "verb",
    "auth_token",
    "accept",
    "jsonp",
    "pretty_print",
    "_",
    "sort",
    "include_docs",
    "startkey",
    "conflicts",
    "id",
];

const HEADERS: [(&str, &str); 30] = [
    ("Accept", "text/csv"),
    ("Accept", "*/*;q=0"),
    ("Accept", "a/b, c/d;q=9, ,;"),
    ("Accept-Language", "x-\u{e9}, de;q=nan"),
    ("Authorization", "Basic Og=="),
    ("Authorization", "Basic !!!"),
    ("Authorization", "Bearer x"),
    ("Connection", "upgrade"),
    ("Content-Encoding", "gzip"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Content-Type", "multipart/form-data; boundary=b"),
    ("Content-Type", "multipart/form-data"),
    ("Content-Type", "text/plain"),
    ("Content-Type", "application/json; charset=latin1"),
    ("Cookie", "auth_token=x"),
    ("Expect", "100-continue"),
    ("Forwarded", "for=10.0.0.1"),
    ("Host", "other.example.com"),
    ("If-Match", "*"),
    ("If-Match", "\"1-a\", W/\"x\", y"),
    ("If-None-Match", "*"),
    ("Origin", "null"),
    ("Access-Control-Request-Method", "FROB"),
    ("Range", "bytes=0-0,5-"),
    ("Upgrade", "h2c"),
    ("X-Auth-Account-ID", "x"),
    ("X-Forwarded-For", "127.0.0.1, [::1]:x"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Pretty-Print", "true"),
    ("X-Request-ID", "a b"),
];

impl Targets {
    /// The request of a seed.
    pub fn request(&self, seed: u64) -> Hostile {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut url = self.path(rng);
        let fitting: &[&str] = match url.rsplit('/').next() {
            Some("groups") => &["GET", "PUT"],
            Some("validation" | "user_auth" | "api_auth") => &["PUT"],
            _ => &["GET", "POST", "PATCH", "DELETE"],
        };
        let methods = if rng.u8(..8) == 0 { &METHODS } else { fitting };
        let method = *rng.choice(methods).unwrap();
        if rng.u8(..3) == 0 {
            url.push('?');
            url.push_str(&self.query(rng));
        }
        if rng.u8(..20) == 0 {
            url = format!("http://other.example.com{url}");
        }
        let mut headers: Vec<(String, String)> = vec![("Host".to_owned(), "x".to_owned())];
        if rng.u8(..16) > 0 {
            headers.push(("X-Auth-Token".to_owned(), self.token(rng)));
        }
        for _ in 0..rng.usize(..3) {
            let (name, value) = *rng.choice(&HEADERS).unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        match rng.u8(..40) {
            0 => headers.push(("X-Long".to_owned(), "x".repeat(rng.usize(..60_000)))),
            1 => headers.extend((0..80).map(|number| (format!("X-{number}"), "y".to_owned()))),
            2 => headers.push(("X-Request-ID".to_owned(), "r".repeat(rng.usize(..2_000)))),
            3 => headers.push(("X-Auth-Token".to_owned(), self.token(rng))),
            _ => {}
        }
        let body = if matches!(method, "PUT" | "POST" | "PATCH") || rng.u8(..8) == 0 { self.body(rng) } else { vec![] };
        // a form is rarely said to be JSON
        let form = [("name=", "application/x-www-form-urlencoded"), ("--b", "multipart/form-data; boundary=b")];
        if let Some((_, media_type)) = form.iter().find(|(start, _)| body.starts_with(start.as_bytes()))
            && rng.u8(..8) > 0
        {
            headers.push(("Content-Type".to_owned(), (*media_type).to_owned()));
        }
        on_the_wire(rng, method, &url, &headers, &body)
    }

    fn id(&self, rng: &mut Rng) -> String {
        match rng.u8(..16) {
            0 => (*rng.choice(&IN_PATHS).unwrap()).to_owned(),
            1 => format!("{:032x}", rng.u128(..)),
            2 => "a".repeat(rng.usize(..400)),
            _ => rng.choice(&self.ids).unwrap().clone(),
        }
    }

    fn path(&self, rng: &mut Rng) -> String {
        let (account, user) = if rng.u8(..4) == 0 { &self.other } else { &self.own };
        let id = self.id(rng);
        let mut path = match rng.u8(..20) {
            0..8 => format!("/v2/accounts/{account}/groups/{id}"),
            8..12 => format!("/v2/accounts/{account}/groups"),
            12 => format!("/v2/accounts/{account}/users/{user}/groups"),
            13 => format!("/v1/accounts/{account}/devices/{id}/groups"),
            14 => "/v2/account/groups".to_owned(),
            15 => format!("/v2/accounts/{account}/accounts/{}/groups/{id}", self.other.0),
            16 => "/v2/schemas/groups/validation".to_owned(),
            17 => (*rng.choice(&["/v2/user_auth", "/v2/api_auth", "/v2/about", "/v2/schemas"]).unwrap()).to_owned(),
            18 => format!("/v{}/{id}/{account}", rng.u8(..)),
            _ => "/".repeat(rng.usize(1..300)),
        };
        if rng.u8(..8) == 0 {
            let at = rng.usize(1..=path.len());
            path.insert_str(at, rng.choice(&IN_PATHS).unwrap());
        }
        path
    }

    fn query(&self, rng: &mut Rng) -> String {
        let parameter = |rng: &mut Rng| {
            let name = *rng.choice(&PARAMETERS).unwrap();
            let value = match name {
                "verb" => (*rng.choice(&METHODS).unwrap()).to_owned(),
                "auth_token" => self.token(rng),
                _ if rng.bool() => rng.choice(&self.ids).unwrap().clone(),
                _ => percent_encoded(rng.choice(&TEXTS).unwrap()),
            };
            if rng.u8(..8) == 0 { name.to_owned() } else { format!("{name}={value}") }
        };
        (0..rng.usize(..6)).map(|_| parameter(rng)).collect::<Vec<_>>().join("&")
    }

    fn token(&self, rng: &mut Rng) -> String {
        match rng.u8(..20) {
            0 => self.foreign_token.clone(),
            1 => mangled(rng, &self.other_token),
            2 => mangled(rng, &self.token),
            3 => String::new(),
            _ => self.token.clone(),
        }
    }

    fn body(&self, rng: &mut Rng) -> Vec<u8> {
        let data = self.json(rng, 4);
        let envelope = match rng.u8(..24) {
            0 => self.json(rng, 6),
            1 => format!(r#"{{"data":{data},"verb":{},"auth_token":{}}}"#, self.json(rng, 1), self.json(rng, 1)),
            2 => format!(r#"{{"data":{{"name":"{}","endpoints":{{}}}}}}"#, "n".repeat(rng.usize(..300))),
            3 => format!(r#"{{"data":{{"name":"d","endpoints":{{}},"x":{}}}}}"#, deep(rng.usize(..700))),
            4 => format!(r#"{{"data":{{"name":"w","endpoints":{{{}}}}}}}"#, wide(rng.usize(1..3_000))),
            5 => format!(
                r#"{{"data":{{"name":"{}","credentials":"x","account_name":"x"}}}}"#,
                rng.choice(&TEXTS).unwrap()
            ),
            6 => format!("name=x&data={data}&endpoints"),
            7 => format!("--b\r\nContent-Type: application/json\r\n\r\n{{\"data\":{data}}}\r\n--b--\r\n"),
            8 => format!("--b\r\nContent-Disposition: form-data; name=\"\u{e9}\r\n\r\n{data}\r\n--b"),
            9 => format!(r#"{{"data":{{"name":{data},"endpoints":{data},"_id":"{}"}}}}"#, self.id(rng)),
            // one that may well be taken
            _ => format!(
                r#"{{"data":{{"name":"g","endpoints":{{"{}":{data}}},"pvt_type":"x","pvt_account_id":"x","_rev":{},{}:{}}}}}"#,
                rng.choice(&self.ids).unwrap(),
                self.json(rng, 1),
                quoted(rng.choice(&TEXTS).unwrap()),
                self.json(rng, 3),
            ),
        };
        let mut bytes = envelope.into_bytes();
        match rng.u8(..100) {
            0 => bytes.splice(..0, *b"\xef\xbb\xbf").for_each(drop),
            1 => bytes.push(0xff),
            2 => bytes.truncate(rng.usize(..=bytes.len())),
            3 if !bytes.is_empty() => {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }
            _ => {}
        }
        bytes
    }

    fn json(&self, rng: &mut Rng, depth: usize) -> String {
        let key = |rng: &mut Rng| match rng.bool() {
            true => quoted(rng.choice(&TEXTS).unwrap()),
            false => format!("\"{}\"", rng.choice(&["type", "weight", "enabled", "media_id", "name", "id"]).unwrap()),
        };
        match rng.u8(..if depth == 0 { 7 } else { 10 }) {
            0 => "null".to_owned(),
            1 => rng.bool().to_string(),
            // some of them make the whole body wrong
            2 if rng.u8(..8) == 0 => {
                (*rng.choice(&["1e400", r#""\ud800""#, r#""\udc00\ud800""#, "01"]).unwrap()).to_owned()
            }
            2 => (*rng.choice(&["0", "-0.0", "1e-400", "123456789012345678901234567890", "1.50"]).unwrap()).to_owned(),
            3 => (*rng.choice(&[r#""\u0000""#, r#""\ud83d\ude00""#, "\"\u{fffd}\""]).unwrap()).to_owned(),
            4 => format!("\"{}\"", rng.choice(&self.ids).unwrap()),
            5 | 6 => quoted(rng.choice(&TEXTS).unwrap()),
            7 => {
                let items: Vec<String> = (0..rng.usize(..4)).map(|_| self.json(rng, depth - 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let fields: Vec<String> =
                    (0..rng.usize(..5)).map(|_| format!("{}:{}", key(rng), self.json(rng, depth - 1))).collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }
}

/// Puts a request on the wire: as HTTP has it, or in ways in which it should not be.
fn on_the_wire(rng: &mut Rng, method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Hostile {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {url} HTTP/1.1\r\n{lines}Connection: close\r\n");
    let length = body.len();
    let plain = |answers| {
        let head = format!("{head}Content-Length: {length}\r\n\r\n");
        Hostile { bytes: [head.as_bytes(), body].concat(), answers }
    };
    let odd = |head: String, body: &[u8]| Hostile { bytes: [head.as_bytes(), body].concat(), answers: 0 };
    // two of one of these, or text outside of ASCII, is no HTTP that must be answered
    let is_http = url.is_ascii() && lines.is_ascii() && lines.matches("\r\nHost").count() == 0;
    let chunked = |extension: &str| [format!("{length:x}{extension}\r\n").as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    match rng.u8(..160) {
        0 if length > 0 => {
            let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
            let body = chunked(rng.choice(&["", ";a=b", ";\u{e9}", ";a=\"x\""]).unwrap());
            Hostile { bytes: [head.as_bytes(), &body].concat(), answers: 0 }
        }
        1 => odd(format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n"), &chunked("")),
        2 => odd(format!("{head}Content-Length: {length}\r\nContent-Length: {}\r\n\r\n", length + 7), body),
        3 => odd(format!("{head}Content-Length: +{length}\r\n\r\n"), body),
        4 => odd(format!("{head}Content-Length: {}\r\n\r\n", length + 100), body),
        5 => odd(format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n"), &chunked("")),
        6 => odd(format!("{head}Transfer-Encoding: chunked\r\n\r\n"), b"fffffffffffffffff\r\nx"),
        7 => odd(format!("{method} {url} HTTP/1.0\r\n{lines}Content-Length: {length}\r\n\r\n"), body),
        8 => odd(format!("{method} {url}\r\n\r\n"), body),
        9 => odd(format!("{method}  {url} HTTP/1.1\r\n{lines}\r\n"), body),
        10 => odd(head.replacen("HTTP/1.1", "HTTP/2.0", 1) + "\r\n", body),
        11 => odd(head.replace("\r\n", "\n") + "\n", body),
        12 => odd(format!("{head}X-A: b\r\n c\r\nX\0: y\r\n\r\n"), body),
        13 => {
            let mut cut = plain(0);
            cut.bytes.truncate(rng.usize(..=cut.bytes.len()));
            cut
        }
        14 => {
            let kept = format!("{method} {url} HTTP/1.1\r\n{lines}Content-Length: {length}\r\n\r\n");
            let last = plain(0).bytes;
            odd(kept.clone() + &kept, &[body, &last].concat())
        }
        15 => odd(String::new(), &(0..rng.usize(..200)).map(|_| rng.u8(..)).collect::<Vec<_>>()),
        _ => plain(usize::from(is_http)),
    }
}

/// The token with a change to it, so that it is no longer what was signed.
fn mangled(rng: &mut Rng, token: &str) -> String {
    let mut mangled = token.to_owned();
    let at = rng.usize(..token.len());
    match rng.u8(..5) {
        0 => mangled.truncate(at),
        1 => drop(mangled.remove(at)),
        2 => mangled.insert(at, 'A'),
        3 => mangled = token.split('.').rev().collect::<Vec<_>>().join("."),
        _ => mangled = format!("{}.", token.rsplit_once('.').unwrap_or_default().0),
    }
    mangled
}

fn deep(levels: usize) -> String {
    let (open, close) = if levels.is_multiple_of(2) { ("[", "]") } else { (r#"{"a":"#, "}") };
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

fn wide(fields: usize) -> String {
    (0..fields).map(|number| format!(r#""{}":{{"type":"user"}}"#, number % 2_000)).collect::<Vec<_>>().join(",")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}

/// Sends bytes and gives all that comes back until the connection ends. Whoever sent no whole request says no more.
pub fn exchange(address: SocketAddr, request: &Hostile) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // it may be answered and closed before all of it was read
    let _ = stream.write_all(&request.bytes);
    if request.answers == 0 {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() && request.answers > 0 => Err(error),
        _ => Ok(answer),
    }
}

/// The statuses of the answers that came back, without those that announce another.
pub fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let starts = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    starts.filter(|status| *status >= 200).collect()
}
