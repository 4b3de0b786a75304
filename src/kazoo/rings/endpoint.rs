//! A device as `kz_endpoint:get/2` has it: with what its owner and the account say too; and what of it can ring.

use serde_json::value::RawValue;

use crate::document::{Document, json};

use super::super::documents::TYPE;
use super::super::erlang::is_empty;
use super::super::javascript::property;
use super::Why;
use super::element::{said, written};
use super::reading::{Reading, hotdesk_users, sole_hotdesk_user};

/// What `merge_attribute/4` makes one of, which it can of objects only.
const MERGED: [&str; 9] = [
    "call_waiting",
    "caller_id",
    "caller_id_options",
    "dial_plan",
    "formatters",
    "metaflows",
    "mobile",
    "music_on_hold",
    "ringtones",
];

/// A device with what it has of its owner and of the account; or a user or the account, taken for a device.
pub(super) struct Endpoint<'r> {
    device: Option<&'r Document>,
    owner: Option<&'r Document>,
    account: Option<&'r Document>,
    /// The owner's id.
    pub(super) user: Option<String>,
}

/// To what a device's calls are forwarded.
pub(super) enum Forward {
    /// To a number instead.
    Instead,
    /// To a number too.
    Beside,
}

/// How a device rings by itself.
pub(super) enum Line {
    /// After its member's delay, for its member's time.
    Timed,
    /// A Skype endpoint has neither.
    AtOnce,
}

impl<'r> Endpoint<'r> {
    /// Errors: the document is neither, it is disabled, or Kazoo crashes on it.
    pub(super) fn of(reading: &'r Reading, document: &'r Document) -> Result<Self, Why> {
        let account = reading.account();
        let says = |key: &str, is: fn(&RawValue) -> bool| document.get(key).is_some_and(is);
        let (endpoint, is_disabled) = match document.text(TYPE).as_deref() {
            Some("device" | "click2call" | "conference") => {
                let owner_id = document.text("owner_id").filter(|id| !id.is_empty());
                // those of many users are nobody's, and have nothing of any
                let owner = match (hotdesk_users(document).is_empty(), sole_hotdesk_user(document)) {
                    (true, _) => owner_id.as_deref().and_then(|id| reading.live(id)),
                    (false, sole) => sole.and_then(|id| reading.live(&id)),
                };
                let user = owner.and_then(Document::id).or(owner_id);
                (Self { device: Some(document), owner, account, user }, says("enabled", denied))
            }
            Some("user") => {
                let endpoint = Self { device: None, owner: Some(document), account, user: None };
                (endpoint, document.get("enabled").is_some_and(|enabled| !said(enabled)))
            }
            Some("account") => {
                let endpoint = Self { device: None, owner: None, account: Some(document), user: None };
                (endpoint, says("enabled", denied) || says("pvt_enabled", denied))
            }
            _ => return Err(Why::NoEndpointType),
        };
        match (is_disabled, endpoint.is_merged()) {
            (true, _) => Err(Why::Disabled),
            (false, false) => Err(Why::Unreadable),
            (false, true) => Ok(endpoint),
        }
    }

    /// Account, device and owner, of whom the last says what counts.
    fn layers(&self) -> impl DoubleEndedIterator<Item = &'r Document> {
        [self.account, self.device, self.owner].into_iter().flatten()
    }

    /// Whether `merge_attributes/4` comes to its end.
    fn is_merged(&self) -> bool {
        let is_object = |raw: &RawValue| is_empty(raw.get()) || raw.get().starts_with('{');
        let all = |key: &str| self.layers().filter_map(|layer| layer.get(key)).all(is_object);
        let forwards = || match self.own_forward() {
            Some(own) if own.get().starts_with('{') => property(own, "enabled").is_some_and(said),
            _ => false,
        };
        self.layers().all(|layer| has_keys(layer, "do_not_disturb"))
            && (forwards() || all("call_forward"))
            && MERGED.into_iter().all(all)
    }

    fn own_forward(&self) -> Option<&'r RawValue> {
        self.device?.get("call_forward")
    }

    /// Whether it, its owner or the account does not want to be disturbed.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.layers().any(|layer| at(layer, "do_not_disturb", "enabled").is_some_and(said))
    }

    /// Whether it does not ring for queues.
    pub(super) fn is_not_for_queues(&self) -> bool {
        self.device.is_some_and(|device| device.get("exclude_from_queues").is_some_and(said))
    }

    /// Where calls are forwarded: as the device says, if it does, else as account, device and owner say together, the last
    /// of them first. A forward of direct calls alone does not count in a ring group.
    pub(super) fn forward(&self, is_direct: bool) -> Option<Forward> {
        let own = self.device.filter(|device| at(device, "call_forward", "enabled").is_some_and(said));
        let field = |key: &str| match own {
            Some(device) => at(device, "call_forward", key),
            None => self.layers().rev().find_map(|layer| at(layer, "call_forward", key)),
        };
        let says = |key: &str| field(key).is_some_and(said);
        let number = field("number").and_then(written).unwrap_or_default();
        let is_for_all = || field("direct_calls_only").is_none_or(denied);
        let is_made = self.device.is_some_and(|device| has_keys(device, "sip"));
        let forwards = is_made && says("enabled") && !is_empty(&json::encode(&number)) && (is_direct || is_for_all());
        forwards.then(|| if says("substitute") { Forward::Instead } else { Forward::Beside })
    }

    /// How it rings by itself, if it does: `maybe_create_endpoint/4`, as Kazoo comes configured.
    pub(super) fn line(&self) -> Option<Line> {
        let device = self.device?;
        let has = |key: &str| device.get(key).is_some_and(|raw| !is_empty(raw.get()));
        let kind = device.get("endpoint_type").or_else(|| device.get("device_type")).and_then(json::text);
        let is_pushed = has("push") && device.get("push").is_some_and(|push| push.get().starts_with('{'));
        let timed = |rings: bool| (rings && has_keys(device, "sip")).then_some(Line::Timed);
        let skype = || has_keys(device, "skype").then_some(Line::AtOnce);
        match kind.as_deref().unwrap_or_default() {
            _ if is_pushed => timed(can_be_pushed(device)),
            "smartphone" | "softphone" | "cellphone" | "landline" | "fax" => timed(true),
            kind if kind.starts_with("sip_") => timed(true),
            "mobile" => timed(self.is_mobile()),
            "skype" => skype(),
            "push" => timed(can_be_pushed(device)),
            _ if self.mobile().is_some() => timed(self.is_mobile()),
            _ if has("sip") => timed(true),
            _ if has("skype") => skype(),
            _ => None,
        }
    }

    /// What account, device and owner say of a carrier's mobile phone; None where they say nothing.
    fn mobile(&self) -> Option<Document> {
        let mut merged = Document::new();
        for layer in self.layers().filter_map(|layer| layer.get("mobile")).filter_map(Document::from_raw) {
            for (key, value) in layer.into_iter().filter(|(_, value)| !is_empty(value.get())) {
                merged.set(&key, value);
            }
        }
        (!merged.is_empty()).then_some(merged)
    }

    /// Whether `build_mobile_route/1` takes its number: by default, one of North America.
    fn is_mobile(&self) -> bool {
        let number = self.mobile().and_then(|mobile| mobile.text("mdn")).unwrap_or_default();
        let national = number.strip_prefix('+').unwrap_or(&number);
        let national = if national.len() == 11 { national.strip_prefix('1').unwrap_or(national) } else { national };
        national.len() == 10
            && national.bytes().enumerate().all(|(at, digit)| match at {
                0 | 3 => (b'2'..=b'9').contains(&digit),
                _ => digit.is_ascii_digit(),
            })
    }
}

/// Whether `create_push_endpoint/3` finds what it makes its route of.
fn can_be_pushed(device: &Document) -> bool {
    let text = |key: &str, field: &str| at(device, key, field).and_then(written);
    text("sip", "username").is_some_and(|name| !name.is_empty()) && text("push", "Token-Proxy").is_some()
}

/// Whether Kazoo can ask a field for a key: it can't where the field is neither an object nor a list.
fn has_keys(document: &Document, field: &str) -> bool {
    document.get(field).is_none_or(|raw| raw.get().starts_with(['{', '[']))
}

fn denied(raw: &RawValue) -> bool {
    matches!(raw.get(), "false" | "\"false\"")
}

/// A field of an object in a document.
fn at<'d>(document: &'d Document, object: &str, field: &str) -> Option<&'d RawValue> {
    property(document.get(object)?, field)
}
