//! Rounds in turn, and the figures that come of them.
//!
//! Machines are shared and noisy: what one round measured means little, and what two programs measured at different
//! times less. So the contestants take turns (A B C, A B C, …), each is compared with the reference of its own turn, and
//! a figure is the median of those ratios with the least and the greatest beside it.

use std::time::Duration;

use anyhow::Result;

/// What one round of one generator came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Round {
    /// Completed, as the server counted them.
    pub requests: f64,
    /// How long the generator's process lived.
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
}

impl Round {
    /// CPU time of the generator per request, in µs.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1.0)
    }

    /// Requests per second.
    pub fn per_s(&self) -> f64 {
        self.requests / self.wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// One round, after the one of this turn's reference; the reference itself is told its own last one.
type Turn<'a> = Box<dyn FnMut(&Round) -> Result<Round> + 'a>;

/// One of those who take turns.
pub struct Contestant<'a> {
    /// What the table calls it.
    pub name: String,
    /// Runs it once.
    pub round: Turn<'a>,
}

impl<'a> Contestant<'a> {
    /// A contestant that does not care what the reference reached.
    pub fn new(name: impl Into<String>, mut round: impl FnMut() -> Result<Round> + 'a) -> Self {
        Self { name: name.into(), round: Box::new(move |_| round()) }
    }
}

/// Lets all take `turns`, after one that is not counted. The first contestant is the reference; the result has a list
/// of rounds for each contestant, and rounds with the same index are of the same turn.
pub fn alternate(contestants: &mut [Contestant<'_>], turns: usize) -> Result<Vec<Vec<Round>>> {
    let mut rounds: Vec<Vec<Round>> = vec![Vec::with_capacity(turns); contestants.len()];
    let mut reference = Round::default();
    for turn in 0..=turns {
        for (index, contestant) in contestants.iter_mut().enumerate() {
            let round = (contestant.round)(&reference)?;
            if index == 0 {
                reference = round;
            }
            let counted = if turn == 0 { "warm-up".to_owned() } else { format!("turn {turn}") };
            eprintln!(
                "  {counted}: {:<36} {:7.3} µs {:9.0}/s",
                contestant.name,
                round.cpu_us(),
                round.per_s()
            );
            if turn > 0 {
                rounds[index].push(round);
            }
        }
    }
    Ok(rounds)
}

/// The middle of several values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of `values`; `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most })
    }

    /// The ratios of `figure` of rounds to that of the reference's rounds, turn by turn.
    pub fn of_ratios(rounds: &[Round], reference: &[Round], figure: impl Fn(&Round) -> f64) -> Option<Self> {
        Self::of(rounds.iter().zip(reference).map(|(round, reference)| figure(round) / figure(reference)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(requests: f64, cpu_ms: u64) -> Round {
        Round { requests, wall: Duration::from_secs(2), cpu: Duration::from_millis(cpu_ms) }
    }

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
    }

    #[test]
    fn cost_and_rate_of_a_round() {
        let round = round(1000.0, 5);
        assert!((round.cpu_us() - 5.0).abs() < 1e-9);
        assert!((round.per_s() - 500.0).abs() < 1e-9);
        assert!(Round::default().cpu_us().is_finite());
    }

    #[test]
    fn ratios_are_of_the_same_turn() {
        // The machine became twice as slow in the second turn, for both alike.
        let reference = [round(1000.0, 10), round(1000.0, 20)];
        let ours = [round(1000.0, 8), round(1000.0, 16)];
        let ratio = Spread::of_ratios(&ours, &reference, Round::cpu_us).unwrap();
        assert!((ratio.least - 0.8).abs() < 1e-9 && (ratio.most - 0.8).abs() < 1e-9);
    }

    #[test]
    fn all_take_turns_and_hear_of_the_reference() {
        let order = std::cell::RefCell::new(Vec::new());
        let mut heard = Vec::new();
        let mut contestants = [
            Contestant::new("a", || {
                order.borrow_mut().push('a');
                Ok(round(7.0, 1))
            }),
            Contestant {
                name: "b".to_owned(),
                round: Box::new(|reference| {
                    order.borrow_mut().push('b');
                    heard.push(reference.requests);
                    Ok(round(1.0, 1))
                }),
            },
        ];
        let rounds = alternate(&mut contestants, 2).unwrap();
        drop(contestants);
        assert_eq!(rounds.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(order.into_inner().into_iter().collect::<String>(), "ababab");
        assert_eq!(heard, [7.0, 7.0, 7.0]);
    }
}
