//! What response times a stall must give: by the schedule, and by how fast the target works off what was held up.

/// A target that stands still once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// Arrivals per second, equally spaced.
    pub per_s: f64,
    /// How long they come, in seconds.
    pub seconds: f64,
    /// When the target stops, in seconds from the first arrival, and for how long.
    pub from_s: f64,
    pub for_s: f64,
    /// Requests per second that are answered as long as some are held up.
    pub worked_off_per_s: f64,
}

/// The response time of each arrival in seconds, ascending: each is answered 1/(worked off) after the one before it, at the
/// earliest, in the order of their arrival.
pub fn computed(stall: &Stall) -> Vec<f64> {
    let Stall { per_s, seconds, from_s, for_s, worked_off_per_s } = *stall;
    let each_s = 1.0 / worked_off_per_s;
    let mut free_s = 0.0_f64;
    let mut responses = Vec::new();
    for number in 0.. {
        let intended_s = f64::from(number) / per_s;
        if intended_s >= seconds {
            break;
        }
        let mut done_s = intended_s.max(free_s) + each_s;
        if done_s > from_s && done_s - each_s < from_s + for_s {
            done_s = from_s + for_s + each_s;
        }
        free_s = done_s;
        responses.push(done_s - intended_s);
    }
    responses.sort_by(f64::total_cmp);
    responses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::quantile;

    #[test]
    fn a_stall_shows_in_all_that_were_due_during_it_and_its_drain() {
        let stall =
            Stall { per_s: 10_000.0, seconds: 10.0, from_s: 4.0, for_s: 1.0, worked_off_per_s: 50_000.0 };
        let responses = computed(&stall);
        assert_eq!(responses.len(), 100_000);
        // 10,000 wait at the end of the stall, and the backlog shrinks by 40,000 a second: 12,500 are late, by times
        // that fall evenly from 1 s to nothing. So 5 % of all are later than 1 s × (1 − 5,000/12,500).
        for (q, expected_s) in [(0.95, 0.6), (0.99, 0.92), (0.999, 0.992), (0.5, 0.000_02)] {
            let found_s = quantile(&responses, q).unwrap();
            assert!((found_s - expected_s).abs() < 2e-4, "{q}: {found_s} s");
        }
    }
}
