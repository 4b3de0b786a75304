//! From devices to what rings: `kz_endpoint:build/3`, and the order of what it gives.

use serde_json::value::RawValue;

use crate::document::Document;

use super::super::documents::TYPE;
use super::super::erlang::is_empty;
use super::super::javascript::property;
use super::element::{Element, Module, Strategy, said};
use super::reading::{Reading, hotdesk_users, sole_hotdesk_user};
use super::resolve::{Device, Resolved};
use super::{Call, Dropped, Failure, Ring, Rings, Why};

/// Builds what rings of what was resolved.
pub(super) fn rings(reading: &Reading, element: &Element, call: &Call, resolved: Resolved) -> Rings {
    let Resolved { devices, is_turned, is_random, dropped } = resolved;
    let mut built = Vec::new();
    let mut left_out = Vec::new();
    if is_random {
        left_out.extend((!devices.is_empty()).then(|| Dropped { id: "*".to_owned(), why: Why::WeightedRandom }));
    } else {
        for device in devices {
            match build(reading, element, call, &device) {
                Ok(rings) => built.push(rings),
                Err(why) => left_out.push(Dropped { id: device.id, why }),
            }
        }
    }
    if is_turned {
        built.reverse();
    }
    let mut rings = built.concat();
    let is_ordered = element.rung_by() == Module::RingGroup && element.strategy() == Some(Strategy::Simultaneous);
    if is_ordered {
        rings.sort_by_key(|ring| ring.delay);
    }
    left_out.extend(dropped);
    let failure = rings.is_empty().then_some(Failure::Nobody);
    Rings { rings, dropped: left_out, failure }
}

/// What a device comes to, or why nothing of it rings.
fn build(reading: &Reading, element: &Element, call: &Call, device: &Device) -> Result<Vec<Ring>, Why> {
    let document = reading.live(&device.id).ok_or(Why::NotFound)?;
    let endpoint = Endpoint::of(reading, document).ok_or(Why::NoEndpointType)?;
    if document.get("enabled").is_some_and(denied) {
        return Err(Why::Disabled);
    }
    if !device.can_call_self && call.user.is_some() && call.user == endpoint.user {
        return Err(Why::CallingUser);
    }
    if endpoint.layers().any(|layer| at(layer, "do_not_disturb", "enabled").is_some_and(said)) {
        return Err(Why::DoNotDisturb);
    }
    if call.is_of_queue && endpoint.device.is_some_and(|device| device.get("exclude_from_queues").is_some_and(said)) {
        return Err(Why::NotForQueues);
    }
    let is_direct = element.rung_by() != Module::RingGroup;
    let ring = Ring {
        id: device.id.clone(),
        user: endpoint.user.clone(),
        delay: device.delay.filter(|delay| *delay > 0).unwrap_or(0),
        timeout: device.timeout.filter(|timeout| *timeout > 0),
    };
    let rings = match endpoint.forward(is_direct) {
        Some(Forward::Instead) => 1,
        Some(Forward::Beside) => 1 + usize::from(endpoint.has_line()),
        None => usize::from(endpoint.has_line()),
    };
    if rings == 0 { Err(Why::NoEndpoints) } else { Ok(vec![ring; rings]) }
}

/// To what a device's calls are forwarded.
enum Forward {
    /// To a number instead.
    Instead,
    /// To a number too.
    Beside,
}

/// A device with what it has of its owner and of the account; or a user or the account, taken for a device.
struct Endpoint<'r> {
    device: Option<&'r Document>,
    owner: Option<&'r Document>,
    account: Option<&'r Document>,
    /// The owner.
    user: Option<String>,
}

impl<'r> Endpoint<'r> {
    /// None if the document is neither.
    fn of(reading: &'r Reading, document: &'r Document) -> Option<Self> {
        let account = reading.account();
        match document.text(TYPE)?.as_str() {
            "device" | "click2call" | "conference" => {
                let owner_id = document.text("owner_id").filter(|id| !id.is_empty());
                // those of many users are nobody's, and have nothing of any
                let owner = match (hotdesk_users(document).is_empty(), sole_hotdesk_user(document)) {
                    (true, _) => owner_id.as_deref().and_then(|id| reading.live(id)),
                    (false, sole) => sole.and_then(|id| reading.live(&id)),
                };
                let user = owner.and_then(Document::id).or(owner_id);
                Some(Self { device: Some(document), owner, account, user })
            }
            "user" => Some(Self { device: None, owner: Some(document), account, user: None }),
            "account" => Some(Self { device: None, owner: None, account: Some(document), user: None }),
            _ => None,
        }
    }

    fn layers(&self) -> impl Iterator<Item = &'r Document> {
        [self.account, self.device, self.owner].into_iter().flatten()
    }

    /// Where calls are forwarded: as the device says, if it does, else as account, device and owner say together, the last
    /// of them first. A forward of direct calls alone does not count in a ring group.
    fn forward(&self, is_direct: bool) -> Option<Forward> {
        let own = self.device.filter(|device| at(device, "call_forward", "enabled").is_some_and(said));
        let field = |key: &str| match own {
            Some(device) => at(device, "call_forward", key),
            None => self.layers().filter_map(|layer| at(layer, "call_forward", key)).last(),
        };
        let says = |key: &str| field(key).is_some_and(said);
        let has_number = field("number").is_some_and(|number| !is_empty(number.get()));
        let is_for_all = || field("direct_calls_only").is_some_and(denied);
        let forwards = says("enabled") && has_number && (is_direct || is_for_all());
        forwards.then(|| if says("substitute") { Forward::Instead } else { Forward::Beside })
    }

    /// Whether it rings by itself. What is a mobile phone of a carrier does not, as Kazoo comes.
    fn has_line(&self) -> bool {
        let Some(device) = self.device else { return false };
        let has = |key: &str| device.get(key).is_some_and(|raw| !is_empty(raw.get()));
        let has_sip = device.get("sip").is_some_and(|sip| Document::from_raw(sip).is_some());
        let kind = device.text("endpoint_type").or_else(|| device.text("device_type")).unwrap_or_default();
        match kind.as_str() {
            "smartphone" | "softphone" | "cellphone" | "landline" | "fax" => has_sip,
            kind if kind.starts_with("sip_") => has_sip,
            "mobile" | "push" => false,
            "skype" => has("skype"),
            _ if has("mobile") => false,
            _ => (has("sip") && has_sip) || has("skype"),
        }
    }
}

fn denied(raw: &RawValue) -> bool {
    matches!(raw.get(), "false" | "\"false\"")
}

/// A field of an object in a document.
fn at<'d>(document: &'d Document, object: &str, field: &str) -> Option<&'d RawValue> {
    property(document.get(object)?, field)
}
