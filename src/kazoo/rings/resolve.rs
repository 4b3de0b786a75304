//! From an element's members to devices: `resolve_endpoint_ids` of the three modules.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

use crate::document::Document;

use super::super::erlang::integer_of;
use super::super::{documents, group};
use super::element::{Element, Entry, Id, Kind, Member, Module, Strategy, TIMEOUT, can_call_self, written};
use super::reading::Reading;
use super::{Call, DEPTH, Dropped, Failure, Halt, MEMBERS, Why};

/// The devices that members come to.
pub(super) struct Resolved {
    /// In the order in which they are built.
    pub(super) devices: Vec<Device>,
    /// What rings is what was built, from the last to the first.
    pub(super) is_turned: bool,
    /// Whether the builders are handed what they die of.
    pub(super) is_random: bool,
    /// What was left out on the way.
    pub(super) dropped: Vec<Dropped>,
}

/// A device, or what is taken for one.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) delay: Option<i64>,
    pub(super) timeout: Option<i64>,
    pub(super) can_call_self: bool,
}

/// Resolves the members of an element.
pub(super) fn resolve(reading: &Reading, element: &Element, call: &Call) -> Result<Resolved, Halt> {
    let module = element.rung_by();
    if module == Module::Group {
        return of_group(reading, element, call);
    }
    let strategy = element.strategy();
    let is_ring = module == Module::RingGroup;
    let mut walk = Walk {
        reading,
        module,
        is_ring,
        is_single: is_ring && strategy == Some(Strategy::Single),
        resolved: HashSet::new(),
        within: Vec::new(),
        met: 0,
        devices: Vec::new(),
        without: Vec::new(),
        by_weight: Vec::new(),
    };
    let (members, mut dropped) = members(element, module, call)?;
    let has_members = !element.items().is_empty();
    walk.members(members)?;
    let mut devices = walk.devices;
    devices.reverse();
    let is_random = is_ring && strategy == Some(Strategy::WeightedRandom);
    if is_ring && has_members && strategy.is_none() {
        return Err(Halt::Failure(Failure::Crash));
    }
    let mut calling = without_caller(&mut devices, call);
    calling.append(&mut dropped);
    calling.extend(walk.without.into_iter().rev());
    let met: HashSet<&str> = walk.resolved.iter().map(|(id, ..)| id.as_str()).collect();
    let mut told = HashSet::new();
    let by_weight = walk.by_weight.into_iter().rev().flatten();
    // what is met by another way is not left out
    calling.extend(by_weight.filter(|one| !met.contains(one.id.as_str()) && told.insert((one.id.clone(), one.why))));
    Ok(Resolved { devices, is_turned: !is_ring, is_random, dropped: calling })
}

/// An element's members: an item that is no object is a crash, one that is not to ring yet is left out of a ring group.
fn members(element: &Element, module: Module, call: &Call) -> Result<(Vec<Member>, Vec<Dropped>), Halt> {
    let (mut members, mut dropped) = (Vec::new(), Vec::new());
    for item in element.items() {
        // a list is to Kazoo an object without keys
        let item = if item.get().starts_with('[') { Some(Document::new()) } else { Document::from_raw(item) };
        let item = item.ok_or(Halt::Failure(Failure::Crash))?;
        let member = Member::of_item(&item, module);
        match module == Module::RingGroup && !is_active(&item, call.now) {
            true => dropped.push(Dropped { id: member.id.as_str().to_owned(), why: Why::Inactive }),
            false => members.push(member),
        }
    }
    Ok((members, dropped))
}

/// Whether a member may ring: whatever is no number comes after all numbers.
fn is_active(item: &Document, now: i64) -> bool {
    item.get("disable_until").map(RawValue::get).is_none_or(|until| {
        #[expect(clippy::cast_precision_loss, reason = "times are far smaller")]
        let now = now as f64;
        until.parse::<f64>().is_ok_and(|until| now > until)
    })
}

/// Takes the calling device out.
fn without_caller(devices: &mut Vec<Device>, call: &Call) -> Vec<Dropped> {
    let is_caller = |device: &Device| call.device.as_ref() == Some(&device.id);
    let calling = devices.iter().filter(|device| is_caller(device));
    let dropped = calling.map(|device| Dropped { id: device.id.clone(), why: Why::CallingDevice }).collect();
    devices.retain(|device| !is_caller(device));
    dropped
}

/// A way through members and the groups that they are.
struct Walk<'r> {
    reading: &'r Reading,
    module: Module,
    /// By `cf_ring_group`; else by `cf_page_group`.
    is_ring: bool,
    is_single: bool,
    /// What was met: a ring group knows a member by its delay and timeout too.
    resolved: HashSet<(String, i64, i64)>,
    /// The groups that it is in.
    within: Vec<String>,
    met: usize,
    /// From the last to the first.
    devices: Vec<Device>,
    /// Groups and users that come to nothing, from the last to the first.
    without: Vec<Dropped>,
    /// Of each group those that are left out for their weight, from the last group to the first.
    by_weight: Vec<Vec<Dropped>>,
}

impl Walk<'_> {
    /// A ring group begins with the last member, a page group with the first.
    fn members(&mut self, mut members: Vec<Member>) -> Result<(), Halt> {
        if self.is_ring {
            members.reverse();
        }
        members.into_iter().try_for_each(|member| self.member(member))
    }

    fn member(&mut self, member: Member) -> Result<(), Halt> {
        self.met += 1;
        if self.met > MEMBERS {
            return Err(Halt::TooLarge);
        }
        let id = match &member.id {
            Id::None => return Ok(()),
            Id::Of(id) if self.resolved.contains(&self.place(id, &member)) => return Ok(()),
            Id::Of(id) => id.as_str(),
            // what comes of it can't be built
            Id::Odd if member.kind != Kind::Odd => return Ok(()),
            Id::Odd => "",
        };
        match member.kind {
            Kind::Odd => return Err(Halt::Failure(Failure::Crash)),
            Kind::Met => {}
            Kind::Device => self.device(id, &member),
            Kind::User => self.user(id, &member),
            Kind::Group => self.group(id, &member)?,
        }
        Ok(())
    }

    fn user(&mut self, id: &str, member: &Member) {
        self.resolved.insert(self.place(id, member));
        let before = self.devices.len();
        let reading = self.reading;
        for device in reading.owned(id).rev() {
            self.met += 1;
            if !self.resolved.contains(&self.place(device, member)) {
                self.device(device, member);
            }
        }
        if self.devices.len() == before {
            self.without.push(Dropped { id: id.to_owned(), why: Why::NoDevices });
        }
    }

    /// A group is known as resolved only once its members are: one that leads to itself never is.
    fn group(&mut self, id: &str, member: &Member) -> Result<(), Halt> {
        if self.within.iter().any(|within| within == id) {
            return Err(Halt::Failure(Failure::Endless));
        }
        if self.within.len() == DEPTH {
            return Err(Halt::TooLarge);
        }
        let document = self.reading.live(id);
        let entries = document.map_or(Some(Vec::new()), |document| Entry::all(document, self.module));
        let entries = entries.ok_or(Halt::Failure(Failure::Crash))?;
        if entries.is_empty() && !document.is_some_and(|document| documents::is_of_type(document, group::TYPE)) {
            self.without.push(Dropped { id: id.to_owned(), why: Why::NoGroup });
        }
        let members = self.of_group(member, entries)?;
        self.within.push(id.to_owned());
        self.members(members)?;
        self.within.pop();
        self.resolved.insert(self.place(id, member));
        Ok(())
    }

    /// A group's members in their order: by weight where one rings after the other, else a ring group turns them.
    fn of_group(&mut self, member: &Member, entries: Vec<Entry>) -> Result<Vec<Member>, Halt> {
        let crash = Halt::Failure(Failure::Crash);
        if !self.is_single {
            let made = entries.iter().map(|entry| member.within(entry, self.module).ok_or(crash));
            let mut members = made.collect::<Result<Vec<_>, _>>()?;
            if self.is_ring {
                members.reverse();
            }
            return Ok(members);
        }
        let mut places = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for (at, entry) in entries.into_iter().enumerate() {
            let made = member.within(&entry, self.module).ok_or(crash)?;
            let id = entry.id.as_str().to_owned();
            match entry.value.as_ref().and_then(|value| value.get("weight")).and_then(integer_of) {
                None => drop(left_out.insert(at, Dropped { id, why: Why::NoWeight })),
                Some(weight) => {
                    let weight = weight.clamp(1, 100);
                    if let Some((at, id, _)) = places.insert(weight, (at, id, made)) {
                        left_out.insert(at, Dropped { id, why: Why::SameWeight(weight) });
                    }
                }
            }
        }
        self.by_weight.push(left_out.into_values().collect());
        Ok(places.into_values().map(|(.., made)| made).collect())
    }

    /// By what a member is known as resolved.
    fn place(&self, id: &str, member: &Member) -> (String, i64, i64) {
        match self.is_ring {
            true => (id.to_owned(), member.delay.unwrap_or(0), member.timeout.unwrap_or(TIMEOUT)),
            false => (id.to_owned(), 0, 0),
        }
    }

    fn device(&mut self, id: &str, member: &Member) {
        self.resolved.insert(self.place(id, member));
        let Member { delay, timeout, can_call_self, .. } = *member;
        self.devices.push(Device { id: id.to_owned(), delay, timeout, can_call_self });
    }
}

/// `cf_group`: the members of one group that are devices, then those of its users; groups in it are passed over. What has no
/// type is both.
fn of_group(reading: &Reading, element: &Element, call: &Call) -> Result<Resolved, Halt> {
    let id = element.group().unwrap_or_default();
    let document = reading.live(&id);
    let mut without = Vec::new();
    if document.is_none() {
        without.push(Dropped { id, why: Why::NoGroup });
    }
    let entries = document.and_then(|document| Entry::all(document, Module::Group)).unwrap_or_default();
    let is_built = |entry: &Entry| entry.value.is_some();
    let is_bridged = |document: &Document| can_bridge(document, &element.data);
    if !entries.iter().all(is_built) || !document.is_none_or(is_bridged) {
        return Err(Halt::Failure(Failure::Crash));
    }
    let of_kind = |kind: Kind| {
        let is_of = move |entry: &&Entry| entry.kind(Module::Group).is_none_or(|of| of == kind);
        entries.iter().filter(is_of).filter_map(|entry| Some((entry.id.as_str(), entry, entry.value.as_ref()?)))
    };
    let device = |id: &str, value: &Document| {
        let number = |key: &str| value.get(key).and_then(integer_of);
        let (delay, timeout) = (number("delay"), number("timeout"));
        Device { id: id.to_owned(), delay, timeout, can_call_self: can_call_self(value) }
    };
    let mut devices: Vec<Device> = of_kind(Kind::Device).map(|(id, _, value)| device(id, value)).collect();
    for (id, entry, value) in of_kind(Kind::User) {
        let before = devices.len();
        devices.extend(reading.owned(id).map(|id| device(id, value)));
        if devices.len() == before && entry.kind(Module::Group).is_some() {
            without.push(Dropped { id: id.to_owned(), why: Why::NoDevices });
        }
    }
    let mut known = HashSet::new();
    devices.retain(|device| known.insert(device.id.clone()));
    let mut dropped = without_caller(&mut devices, call);
    dropped.append(&mut without);
    Ok(Resolved { devices, is_turned: true, is_random: false, dropped })
}

/// Whether `cf_group:attempt_endpoints/3` comes to its bridge: it casts what the group's document or else the element says.
fn can_bridge(document: &Document, data: &Document) -> bool {
    let said = |key: &str| document.get(key).or_else(|| data.get(key));
    let is_text = |key: &str| said(key).is_none_or(|raw| written(raw).is_some());
    said("timeout").is_none_or(|raw| integer_of(raw).is_some())
        && ["strategy", "ignore_forward", "ringback"].into_iter().all(is_text)
}
