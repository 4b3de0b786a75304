//! A client that means well: it reads what it wrote, and knows what must be there whenever the service was killed.

use std::collections::HashMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::client::{self, Response};
use crate::counts::Counts;
use crate::service::Service;

/// What stands in the names of all its groups: nobody else may read it.
pub const SECRET: &str = "only-honest-clients-may-read-this";

/// How many groups a client has at the most.
const MOST_GROUPS: usize = 200;

/// A client with groups of its own in an account that several share.
pub struct Honest<'s> {
    service: &'s Service,
    counts: &'s Counts,
    path: String,
    token: String,
    rng: Rng,
    /// What each group may be called, or None where it may be gone: one of these, since not every write was answered.
    groups: HashMap<String, Vec<Option<String>>>,
}

impl<'s> Honest<'s> {
    pub fn new(service: &'s Service, counts: &'s Counts, account: &str, token: &str, seed: u64) -> Self {
        Self {
            service,
            counts,
            path: format!("/v2/accounts/{account}/groups"),
            token: token.to_owned(),
            rng: Rng::with_seed(seed),
            groups: HashMap::new(),
        }
    }

    /// Works until it is told to stop; then looks at everything once more.
    pub fn work(mut self, is_over: impl Fn() -> bool) {
        let mut kills = self.service.kills();
        while !is_over() {
            if !self.service.is_up() {
                std::thread::sleep(std::time::Duration::from_millis(20));
                continue;
            }
            if kills != self.service.kills() {
                kills = self.service.kills();
                self.check_all();
            }
            self.step();
        }
        self.check_all();
    }

    fn step(&mut self) {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        let id = self.rng.choice(&ids).cloned();
        match (self.rng.u8(..10), id) {
            (0..2, _) | (_, None) if self.groups.len() < MOST_GROUPS => self.create(),
            (0..5, Some(id)) => self.change(&id),
            (5, Some(id)) => self.delete(&id),
            (6..9, Some(id)) => self.check(&id),
            _ => drop(self.send("GET", "?page_size=20", None)),
        }
    }

    fn name(&mut self) -> String {
        format!("{SECRET} {:016x}", self.rng.u64(..))
    }

    fn create(&mut self) {
        let (id, name) = (format!("{:032x}", self.rng.u128(..)), self.name());
        let group = json!({"data": {"id": id, "name": name, "endpoints": {"u": {"type": "user", "weight": 1}}}});
        match self.send("PUT", "", Some(group)).map(|answer| answer.status) {
            Some(201) => drop(self.groups.insert(id, vec![Some(name)])),
            Some(400..500) => self.counts.lost("a good group was refused"),
            _ => drop(self.groups.insert(id, vec![Some(name), None])),
        }
    }

    fn change(&mut self, id: &str) {
        let name = self.name();
        let method = *self.rng.choice(&["POST", "PATCH"]).unwrap_or(&"POST");
        let group = json!({"data": {"name": name, "endpoints": {}}});
        let status = self.send(method, &format!("/{id}"), Some(group)).map(|answer| answer.status);
        self.wrote(id, status, Some(name));
    }

    fn delete(&mut self, id: &str) {
        let status = self.send("DELETE", &format!("/{id}"), None).map(|answer| answer.status);
        self.wrote(id, status, None);
    }

    /// What a write's answer tells of a group.
    fn wrote(&mut self, id: &str, status: Option<u16>, name: Option<String>) {
        let Some(may_be) = self.groups.get_mut(id) else { return };
        match status {
            Some(200) => *may_be = vec![name],
            Some(404) if may_be.contains(&None) => *may_be = vec![None],
            Some(status @ 400..500) => self.counts.lost(&format!("{status} for a good change of {id}")),
            _ => may_be.push(name),
        }
    }

    fn check_all(&mut self) {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        ids.iter().for_each(|id| self.check(id));
        self.groups.retain(|_, may_be| may_be.iter().any(Option::is_some));
    }

    /// Reads a group, which must be what it may be; from then on it is that.
    fn check(&mut self, id: &str) {
        let Some(answer) = self.send("GET", &format!("/{id}"), None) else { return };
        let found = match answer.status {
            200 => answer.json()["data"]["name"].as_str().map(str::to_owned),
            404 => None,
            _ => return,
        };
        let Some(may_be) = self.groups.get_mut(id) else { return };
        if !may_be.contains(&found) {
            self.counts.lost(&format!("{id} is {found:?}, and was written as {may_be:?}"));
        }
        *may_be = vec![found];
    }

    fn send(&mut self, method: &str, rest: &str, body: Option<Value>) -> Option<Response> {
        let body = body.map(|body| body.to_string());
        let headers = [("X-Auth-Token", self.token.as_str()), ("Content-Type", "application/json")];
        let path = format!("{}{rest}", self.path);
        let answer = client::send(self.service.address, method, &path, &headers, body.as_deref().map(str::as_bytes));
        self.counts.honest(answer.as_ref().ok().map(|answer| answer.status));
        answer.ok()
    }
}
