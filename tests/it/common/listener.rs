//! One who listens to a stream of events, over a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{TestAccount, client};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// The id of the row that it tells of.
    pub fn row_id(&self) -> String {
        self.data["row"]["id"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

/// A stream of events that is read as it comes.
pub struct Listener {
    lines: BufReader<TcpStream>,
    /// What was read of the body and not taken yet.
    text: String,
    pub comments: usize,
}

impl Listener {
    /// Listens from the beginning, or from an event on. Panics with the answer where it is not let in.
    pub fn start(address: SocketAddr, path: &str, token: &str, last: Option<&str>) -> Self {
        Self::ask(address, path, token, last).unwrap_or_else(|answer| panic!("{answer}"))
    }

    /// The same; gives the head of an answer that is no stream.
    pub fn ask(address: SocketAddr, path: &str, token: &str, last: Option<&str>) -> Result<Self, String> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        let head = "Host: localhost\r\nAccept: text/event-stream";
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\nX-Auth-Token: {token}\r\n{last}\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        if !head.starts_with("HTTP/1.1 200") {
            return Err(head);
        }
        let lower = head.to_lowercase();
        for header in
            ["content-type: text/event-stream\r\n", "cache-control: no-store\r\n", "x-accel-buffering: no\r\n"]
        {
            assert!(lower.contains(header), "{head}");
        }
        Ok(Self { lines, text: String::new(), comments: 0 })
    }

    /// The next event; None at the end of the stream.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                match event(&block) {
                    Some(event) => return Some(event),
                    None => self.comments += 1,
                }
                continue;
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    /// The next event; None at the end of the stream, or when nothing at all came in the time.
    pub fn next_within(&mut self, time: Duration) -> Option<Event> {
        self.lines.get_ref().set_read_timeout(Some(time)).unwrap();
        self.next()
    }

    /// The events up to the first of a name, itself included.
    pub fn until(&mut self, name: &str) -> Vec<Event> {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| event.name != name) {
            events.push(self.next().unwrap_or_else(|| panic!("no {name}: {events:?}")));
        }
        events
    }

    /// A piece of the body; None where it ends.
    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.lines.read_line(&mut size).ok().filter(|read| *read > 0)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.lines.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }
}

/// What somebody who listens to a list of groups knows, who does as it is told.
#[derive(Default)]
pub struct Known {
    /// By their ids.
    pub rows: BTreeMap<String, Value>,
    pub last: Option<String>,
    pub seen: BTreeSet<(String, String)>,
    is_beginning: bool,
}

impl Known {
    /// Listens from where it was cut off.
    pub fn listen(&mut self, address: SocketAddr, account: &TestAccount) -> Listener {
        self.is_beginning = true;
        Listener::start(address, &account.path("groups"), &account.token, self.last.as_deref())
    }

    /// The same until it knows all.
    pub fn catch_up(&mut self, address: SocketAddr, account: &TestAccount) {
        self.listen(address, account).until("live").into_iter().for_each(|event| self.told(event));
    }

    pub fn told(&mut self, event: Event) {
        // a list that begins anew
        let begins = event.name == "listed" || event.name == "live" && event.data["rows"] == 0;
        if std::mem::take(&mut self.is_beginning) && begins {
            *self = Self::default();
        }
        self.last = event.id.clone().or(self.last.take());
        match event.name.as_str() {
            "listed" => drop(self.rows.insert(event.row_id(), event.data["row"].clone())),
            "live" => {}
            name => {
                let revision = (event.row_id(), event.data["revision"].as_str().unwrap().to_owned());
                assert!(self.seen.insert(revision.clone()), "{revision:?} is told twice");
                match name {
                    "created" | "edited" => drop(self.rows.insert(event.row_id(), event.data["row"].clone())),
                    "deleted" => drop(self.rows.remove(&event.row_id())),
                    name => panic!("{name}"),
                }
            }
        }
    }
}

/// The rows of a list by their ids.
pub fn rows(address: SocketAddr, account: &TestAccount, list: &str) -> BTreeMap<String, Value> {
    let path = account.path(&format!("{list}?paginate=false"));
    let headers = [("X-Auth-Token", account.token.as_str())];
    let answer = client::send(address, "GET", &path, &headers, None).unwrap().json();
    let rows = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    rows.into_iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
}

/// The event of a block; None if it is a comment, or says when to come back.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let name = field("event")?.to_owned();
    let data = serde_json::from_str(field("data").unwrap()).unwrap();
    Some(Event { id: field("id").map(str::to_owned), name, data })
}
