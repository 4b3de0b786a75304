//! Who a group rings: Kazoo 4.3's `cf_ring_group`, `cf_page_group` and `cf_group`, and what `kz_endpoint:build/3` leaves
//! out, as observed in `fixtures/rings` (`RULES.md` names the functions). All of it is pure: [`Reading`] says which documents
//! are wanted, its caller reads them, however it likes, and then it says what rings.
//!
//! Where Kazoo itself would crash, never end or ring nobody, that is the answer ([`Failure`]).

mod build;
mod callflows;
mod element;
mod endpoint;
mod reading;
mod resolve;
mod told;

use std::fmt;

use serde::{Serialize, Serializer};

pub use callflows::{ELEMENTS, InCallflow, Named, WithCallflows, naming};
pub use element::{Element, Module, NoElement, NoStrategy, Strategy};
pub use reading::{Reading, Wanted, owners};
pub use told::Told;

/// How many members are looked at in all, each as often as it is met. A group of 10,000 members that is met in 20 ways is
/// just small enough.
pub const MEMBERS: usize = 200_000;

/// How many groups deep a member may be.
pub const DEPTH: usize = 64;

/// Who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The calling device (`authorizing_id`), which is not rung.
    pub device: Option<String>,
    /// The calling user (`owner_id`), whose devices are not rung unless a member has `can_call_self`.
    pub user: Option<String>,
    /// Whether a queue calls, from which devices may be excluded.
    pub is_of_queue: bool,
    /// When, in gregorian seconds.
    pub now: i64,
}

/// What rings, and what does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rings {
    /// What rings, in order. A device that also forwards to a number is named twice.
    pub rings: Vec<Ring>,
    /// What was left out.
    pub dropped: Vec<Dropped>,
    /// What went wrong as a whole.
    pub failure: Option<Failure>,
}

impl Rings {
    /// How many bytes it has when it is told, about.
    pub fn bytes(&self) -> usize {
        let user = |ring: &Ring| ring.user.as_ref().map_or(0, String::len);
        let rings: usize = self.rings.iter().map(|ring| ring.id.len() + user(ring) + size_of::<Ring>()).sum();
        let dropped: usize = self.dropped.iter().map(|dropped| dropped.id.len() + size_of::<Dropped>()).sum();
        2 * (rings + dropped)
    }
}

/// A device that rings, or the number that it is forwarded to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ring {
    /// The device.
    pub id: String,
    /// Whose it is.
    pub user: Option<String>,
    /// After how many seconds it rings.
    pub delay: i64,
    /// For how many seconds it rings; None: as long as the others.
    pub timeout: Option<i64>,
}

/// What was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The member, or a device of one; `*` for all.
    pub id: String,
    /// Why.
    pub why: Why,
}

/// Why something is left out. Its text is that of the observed cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The element says that the member is not to ring yet.
    Inactive,
    /// It is the device that calls.
    CallingDevice,
    /// It is of the user who calls.
    CallingUser,
    /// It is no group, or one that is not there.
    NoGroup,
    /// It is a user without devices, or all of them ring already.
    NoDevices,
    /// By `single` a member of a group needs a weight.
    NoWeight,
    /// By `single` a later member of the same weight takes its place.
    SameWeight(i64),
    /// `weighted_random` rings nothing.
    WeightedRandom,
    /// There is no such document, or it is deleted.
    NotFound,
    /// It is neither device nor user.
    NoEndpointType,
    /// Kazoo crashes on what it, its user or the account says.
    Unreadable,
    /// It is disabled.
    Disabled,
    /// It, its user or the account does not want to be disturbed.
    DoNotDisturb,
    /// It does not ring for queues.
    NotForQueues,
    /// Nothing of it could ring.
    NoEndpoints,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "disable_until in the future or not a number",
            Self::CallingDevice => "the calling device itself",
            Self::CallingUser => "owner_called_self",
            Self::NoGroup => "taken as a group, but there is no such group document (or it has no members)",
            Self::NoDevices => "user without devices of its own left (none, or already resolved through another entry)",
            Self::NoWeight => "no weight (single only)",
            Self::SameWeight(weight) => {
                return write!(f, "same weight {weight} as a later member, which took its place (single only)");
            }
            Self::WeightedRandom => {
                "weighted_random hands {Weight,{Id,Member}} on: every builder dies with badarg, nothing rings"
            }
            Self::NotFound => "not_found",
            Self::NoEndpointType => "not_device_nor_user",
            Self::Unreadable => "not an object where Kazoo takes one: it can't be built",
            Self::Disabled => "endpoint_disabled",
            Self::DoNotDisturb => "do_not_disturb",
            Self::NotForQueues => "exclude_from_queues",
            Self::NoEndpoints => "no_endpoints",
        })
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What goes wrong as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// The callflow's process crashes, and the call with it.
    Crash,
    /// It never ends: a group is a member of itself, by whatever way.
    Endless,
    /// Nobody rings, and the callflow goes on.
    Nobody,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crash => "Kazoo's callflow crashes here, and the call with it",
            Self::Endless => "Kazoo's callflow never ends here: a group is a member of itself",
            Self::Nobody => "nobody rings",
        })
    }
}

/// What is rung is more than is told: [`DEPTH`] groups deep, or too many members in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the groups are more than {DEPTH} levels deep, or too large to be told who rings")]
pub struct TooLarge;

/// Why there is no list of what rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    Failure(Failure),
    TooLarge,
}

/// Says what the element of a reading rings, once all is read; of many elements the first.
///
/// Errors: [`TooLarge`].
pub fn rings(reading: &Reading, call: &Call) -> Result<Rings, TooLarge> {
    reading.elements().first().map_or_else(|| Ok(Rings::default()), |element| rings_of(reading, element, call))
}

/// Says what one of a reading's elements rings, once all is read.
///
/// Errors: [`TooLarge`].
pub fn rings_of(reading: &Reading, element: &Element, call: &Call) -> Result<Rings, TooLarge> {
    match resolve::resolve(reading, element, call) {
        Ok(resolved) => Ok(build::rings(reading, element, call, resolved)),
        Err(Halt::Failure(failure)) => Ok(Rings { failure: Some(failure), ..Rings::default() }),
        Err(Halt::TooLarge) => Err(TooLarge),
    }
}
