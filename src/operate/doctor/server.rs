//! What a store's server tells of itself.

use std::time::{Duration, SystemTime};

use crate::store::ServerInfo;

use super::report::{Outcome, SEE_STORE, failed, ok, skipped};

/// The oldest CouchDB whose answers are known to be those we need.
const OLDEST_COUCHDB: u32 = 2;

/// How far the store's clock may be from ours. It tells whole seconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

pub(super) fn reachable(server: &ServerInfo) -> Outcome {
    match server {
        ServerInfo::Couch { failing, .. } if !failing.is_empty() => {
            failed(format!("it answers, but not by {}", failing.join("; ")), SEE_STORE)
        }
        _ => ok("it answers"),
    }
}

pub(super) fn version(server: &ServerInfo) -> Outcome {
    let ServerInfo::Couch { version, .. } = server else {
        return ok(format!("the embedded store of {} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST_COUCHDB => ok(format!("CouchDB {version}")),
        _ => failed(format!("CouchDB {version}"), format!("update it to CouchDB {OLDEST_COUCHDB} or later")),
    }
}

pub(super) fn cluster(server: &ServerInfo) -> Outcome {
    let ServerInfo::Couch { nodes, .. } = server else { return skipped("the store is embedded") };
    let Some(nodes) = nodes else { return skipped("the server does not tell its nodes to this user") };
    let away: Vec<&str> =
        nodes.cluster.iter().filter(|node| !nodes.connected.contains(node)).map(String::as_str).collect();
    if away.is_empty() {
        return ok(format!("{} of {} nodes: {}", nodes.cluster.len(), nodes.cluster.len(), nodes.cluster.join(", ")));
    }
    let problem = format!("{} of {} nodes are away: {}", away.len(), nodes.cluster.len(), away.join(", "));
    failed(problem, "start them, or take them out of the cluster")
}

pub(super) fn clock(server: &ServerInfo, before: SystemTime, after: SystemTime) -> Outcome {
    let ServerInfo::Couch { time, .. } = server else { return skipped("the store is embedded") };
    let Some(time) = time else { return skipped("the server does not tell the time") };
    // the server answered between the two, in a second of its own that had begun
    let behind = before.duration_since(*time).unwrap_or_default();
    let ahead = time.duration_since(after).unwrap_or_default();
    let (far, which) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    if far <= CLOCK_TOLERANCE {
        return ok(format!("within {} s of ours", CLOCK_TOLERANCE.as_secs()));
    }
    let problem = format!("the server's clock is {} s {which} ours", far.as_secs());
    failed(problem, "synchronise both with NTP: tokens and pvt_modified depend on it")
}
