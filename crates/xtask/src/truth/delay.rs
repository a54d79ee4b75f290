//! After which time a request is answered.

use fastrand::Rng;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// A distribution of answer times; each has a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delay {
    /// At once.
    None,
    /// 1 ms.
    Fixed,
    /// 1 to 5 ms.
    Uniform,
    /// Of mean 3 ms, 30 ms at most.
    Exponential,
    /// 1 ms, and every tenth 50 ms.
    Bimodal,
}

impl Delay {
    pub const ALL: [Self; 5] = [Self::None, Self::Fixed, Self::Uniform, Self::Exponential, Self::Bimodal];

    /// What its path has behind the slash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
            Self::Bimodal => "bimodal",
        }
    }

    /// The distribution of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delay| delay.name() == name)
    }

    /// A time from it, in ns.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 30 million, and a fraction of a nanosecond is none"
    )]
    pub fn draw(self, rng: &mut Rng) -> u64 {
        match self {
            Self::None => 0,
            Self::Fixed => MS,
            Self::Uniform => rng.u64(MS..=5 * MS),
            // By the inverse of its distribution function.
            Self::Exponential => {
                let ns = -(1.0 - rng.f64()).ln() * (3 * MS) as f64;
                (ns as u64).clamp(US, 30 * MS)
            }
            Self::Bimodal if rng.u8(0..10) == 0 => 50 * MS,
            Self::Bimodal => MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_the_distributions_say() {
        let seed = 7;
        let mut rng = Rng::with_seed(seed);
        for (delay, mean_ms, least, most) in [
            (Delay::None, 0.0, 0, 0),
            (Delay::Fixed, 1.0, MS, MS),
            (Delay::Uniform, 3.0, MS, 5 * MS),
            (Delay::Exponential, 3.0, US, 30 * MS),
            (Delay::Bimodal, 5.9, MS, 50 * MS),
        ] {
            let times: Vec<u64> = (0..100_000).map(|_| delay.draw(&mut rng)).collect();
            let mean = times.iter().sum::<u64>() as f64 / times.len() as f64 / MS as f64;
            assert!((mean - mean_ms).abs() < 0.1, "seed {seed}, {delay:?}: {mean} ms");
            assert!(times.iter().all(|time| (least..=most).contains(time)), "seed {seed}, {delay:?}");
            assert_eq!(Delay::parse(delay.name()), Some(delay));
        }
    }
}
