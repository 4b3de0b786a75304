//! From devices to what rings: `kz_endpoint:build/3`, and the order of what it gives.

use super::element::{Element, Module, Strategy};
use super::endpoint::{Endpoint, Forward, Line};
use super::reading::Reading;
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
                // `cf_group` has no processes that could die in its stead
                Err(Why::Unreadable) if element.rung_by() == Module::Group => {
                    return Rings { failure: Some(Failure::Crash), ..Rings::default() };
                }
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
    let endpoint = Endpoint::of(reading, document)?;
    if !device.can_call_self && call.user.is_some() && call.user == endpoint.user {
        return Err(Why::CallingUser);
    }
    if endpoint.is_undisturbed() {
        return Err(Why::DoNotDisturb);
    }
    if call.is_of_queue && endpoint.is_not_for_queues() {
        return Err(Why::NotForQueues);
    }
    let is_direct = element.rung_by() != Module::RingGroup;
    let ring = Ring {
        id: device.id.clone(),
        user: endpoint.user.clone(),
        delay: device.delay.filter(|delay| *delay > 0).unwrap_or(0),
        timeout: device.timeout.filter(|timeout| *timeout > 0),
    };
    let forward = endpoint.forward(is_direct);
    let line = endpoint.line().filter(|_| !matches!(forward, Some(Forward::Instead))).map(|line| match line {
        Line::Timed => ring.clone(),
        Line::AtOnce => Ring { delay: 0, timeout: None, ..ring.clone() },
    });
    let rings: Vec<Ring> = line.into_iter().chain(forward.map(|_| ring)).collect();
    if rings.is_empty() { Err(Why::NoEndpoints) } else { Ok(rings) }
}
