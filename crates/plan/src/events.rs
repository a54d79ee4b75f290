//! Which requests leave a row of their own behind, beside the windows that count all of them.
//!
//! Invariant: what is sampled is chosen without regard to how it went, so that every share and percentile of the rows is one
//! of the requests, but for chance. Deliberately absent: the choice itself, which is the recorder's.

use crate::diagnostic::{Faults, Wrong};
use crate::quantity::decimal;
use crate::read::{self, Fields};
use crate::tree::Node;

/// Parts of a hundredth that a percentage can be given in.
const PARTS_PER_PERCENT: u32 = 10_000;

/// The requests of which a raw event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Events {
    /// Every one.
    All,
    /// Those that did not succeed, cancelled ones among them. The default.
    #[default]
    Errors,
    /// Each with the same chance, whatever becomes of it.
    Sample(Chance),
    /// None.
    None,
}

/// A chance above zero, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    millionths: u32,
}

impl Chance {
    /// Certainty.
    const ALL: u32 = 100 * PARTS_PER_PERCENT;

    /// How many of 2⁶⁴ equally likely numbers are a hit, less one: a number is one that is not above it.
    pub fn threshold(self) -> u64 {
        let hits = (u128::from(self.millionths) << 64) / u128::from(Self::ALL);
        u64::try_from(hits - 1).unwrap_or(u64::MAX)
    }
}

pub(crate) static KNOWN: [(&str, Events); 3] =
    [("all", Events::All), ("errors", Events::Errors), ("none", Events::None)];

/// The value of `events`.
pub(crate) fn events(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<Events> {
    match fields.get(faults, "events") {
        Some(node) => chosen(faults, node),
        None => Some(Events::default()),
    }
}

fn chosen(faults: &mut Faults<'_>, node: &Node) -> Option<Events> {
    let text = read::text(faults, node, "events")?;
    if let Some((_, known)) = KNOWN.iter().find(|(word, _)| *word == text) {
        return Some(*known);
    }
    match text.strip_prefix("sample") {
        Some(rest) if !rest.starts_with(|c: char| c.is_alphabetic()) => {
            read::checked(faults, node, chance(rest.trim())).map(Events::Sample)
        }
        _ => {
            let wrong = Wrong::new("unknown_value", format!("events cannot be \"{text}\""));
            read::fault(faults, node, wrong.suggest(text, &["all", "errors", "sample 1%", "none"], &[]))
        }
    }
}

/// A percentage such as `1%` or `0.05%`.
fn chance(text: &str) -> Result<Chance, Wrong> {
    let bad = || {
        Wrong::new("bad_sample", "a sample is a percentage of the requests, with four decimals at most")
            .help("write it like sample 1% or sample 0.05%")
    };
    if text.starts_with('-') {
        return Err(Wrong::new("negative", "a sample cannot be negative"));
    }
    let number = text.strip_suffix('%').ok_or_else(bad)?.trim_end();
    let millionths = decimal(number, 4).ok_or_else(bad)?;
    match u32::try_from(millionths).unwrap_or(u32::MAX) {
        0 => Err(Wrong::new("zero", "a sample must be more than zero").help("write `events: none`")),
        millionths if millionths > Chance::ALL => {
            Err(Wrong::new("absurd", "a sample can be at most 100%").help("write `events: all`"))
        }
        millionths => Ok(Chance { millionths }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_hit_as_often_as_asked() {
        let hits = |text| chance(text).unwrap().threshold();
        assert_eq!(hits("100%"), u64::MAX);
        assert_eq!(hits("50%"), u64::MAX / 2);
        assert_eq!(hits("0.0001%"), u64::MAX / 1_000_000 - 1);
        assert_eq!(hits("1 %"), u64::MAX / 100 - 1);
    }
}
