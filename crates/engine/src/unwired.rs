//! What a plan can ask for and this engine cannot do yet: refused before anything is opened, never ignored.
//!
//! Each line goes when its feature comes.

use plan::{Dns, Family, HttpVersion, Plan, Scheme};

use crate::PrepareError;

/// Refuses a plan that asks for more than is there.
pub(crate) fn check(plan: &Plan) -> Result<(), PrepareError> {
    let refused = [
        (plan.targets.iter().any(|target| target.scheme == Scheme::Https), "https"),
        (plan.targets.iter().any(|target| target.socket.is_some()), "Unix sockets"),
        (plan.http != HttpVersion::Http1, "HTTP/2"),
        (!plan.network.source_addresses.is_empty(), "network: source_addresses"),
        (plan.network.addresses != Family::Any, "network: addresses"),
        (plan.network.dns != Dns::Start, "network: dns"),
    ];
    match refused.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(PrepareError::Unsupported(what)),
        None => Ok(()),
    }
}
