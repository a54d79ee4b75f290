//! What a plan can ask for and this engine cannot do yet: refused before anything is opened, never ignored.
//!
//! Each line goes when its feature comes.

use plan::{Dns, Plan};

use crate::PrepareError;

/// Refuses a plan that asks for more than is there.
pub(crate) fn check(plan: &Plan) -> Result<(), PrepareError> {
    let refused = [(plan.network.dns != Dns::Start, "network: dns")];
    match refused.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, what)) => Err(PrepareError::Unsupported(what)),
        None => Ok(()),
    }
}
