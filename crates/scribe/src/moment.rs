//! The `timestamp` of an event as microseconds since 1970.
//!
//! RFC 3339, with a space in place of the `T` and without a zone too, which means UTC; or a number of seconds or
//! milliseconds. Not by a calendar library: at the rate of the intake it is read a million times a second, and what is
//! taken without a zone is no RFC 3339.

use std::ops::RangeInclusive;

/// Numbers below are seconds: as milliseconds they would lie before March 1973, as seconds beyond the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;

/// The first second after the year 9999.
const END_S: i64 = 253_402_300_800;

/// Microseconds of a text, or `None`.
pub fn of_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (date_and_time, rest) = bytes.split_first_chunk::<19>()?;
    let [.., b'-', _, _, b'-', _, _, b'T' | b't' | b' ', _, _, b':', _, _, b':', _, _] = date_and_time else {
        return None;
    };
    let part = |at: usize, range: RangeInclusive<i64>| {
        number(&date_and_time[at..at + 2]).filter(|part| range.contains(part))
    };
    let year = number(&date_and_time[..4])?;
    let (month, day) = (part(5, 1..=12)?, part(8, 1..=31)?);
    // A leap second is the first of the next minute.
    let (hour, minute, second) = (part(11, 0..=23)?, part(14, 0..=59)?, part(17, 0..=60)?);
    if day > days_of(year, month) {
        return None;
    }
    let (fraction_us, zone) = fraction(rest)?;
    let seconds =
        days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s(zone)?;
    (0..END_S).contains(&seconds).then_some(seconds * 1_000_000 + fraction_us)
}

/// Microseconds of a number of seconds or milliseconds, or `None`.
pub fn of_number(number: f64) -> Option<i64> {
    let seconds = if number < MILLISECONDS_FROM { number } else { number / 1000.0 };
    #[expect(clippy::cast_possible_truncation, reason = "within the range of years")]
    (0.0..END_S as f64).contains(&seconds).then(|| (seconds * 1e6).round() as i64)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Microseconds of the digits after a full stop, and what follows them.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', digits)) = rest.split_first() else { return Some((0, rest)) };
    let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let (digits, zone) = digits.split_at(length);
    let us = (0..6).fold(0, |us, at| us * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0')));
    Some((us, zone))
}

/// How far the zone is ahead of UTC.
fn offset_s(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => (sign, hours, [*m1, *m2]),
        [sign @ (b'+' | b'-'), h1h2 @ .., m1, m2] if h1h2.len() == 2 => (sign, h1h2, [*m1, *m2]),
        _ => return None,
    };
    let hours = number(hours).filter(|hours| *hours < 24)?;
    let minutes = number(&minutes).filter(|minutes| *minutes < 60)?;
    let offset = hours * 3_600 + minutes * 60;
    Some(if *sign == b'-' { -offset } else { offset })
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date, in years that begin with March.
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_with_and_without_a_zone() {
        let noon = 1_772_367_022_000_000;
        for (text, us) in [
            ("2026-03-01T12:10:22", noon),
            ("2026-03-01T12:10:22Z", noon),
            ("2026-03-01t12:10:22z", noon),
            ("2026-03-01 12:10:22", noon),
            ("2026-03-01T13:10:22+01:00", noon),
            ("2026-03-01T06:40:22-0530", noon),
            ("2026-03-01T12:10:22.5", noon + 500_000),
            ("2026-03-01T12:10:22.123456789Z", noon + 123_456),
            ("2026-03-01T13:10:22,25+01:00", noon + 250_000),
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] {
            assert_eq!(of_text(text), Some(us), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "now",
            "2026-03-01",
            "2026-03-01T12:10",
            "2026-13-01T12:10:22",
            "2026-02-29T12:10:22",
            "1900-02-29T00:00:00",
            "2026-03-01T24:10:22",
            "2026-03-01T12:60:22",
            "2026-03-01T12:10:61",
            "2026-03-01T12:10:22.",
            "2026-03-01T12:10:22.5x",
            "2026-03-01T12:10:22+1:00",
            "2026-03-01T12:10:22+24:00",
            "2026-03-01T12:10:22+01:60",
            "2026-03-01T12:10:22 UTC",
            "2026-3-01T12:10:22Z",
            "1969-12-31T23:59:59Z",
            "2026-03-01T12:1é:22",
            "+026-03-01T12:10:22",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        assert_eq!(of_number(1_772_367_022.0), Some(1_772_367_022_000_000));
        assert_eq!(of_number(1_772_367_022.25), Some(1_772_367_022_250_000));
        assert_eq!(of_number(1_772_367_022_123.0), Some(1_772_367_022_123_000));
        assert_eq!(of_number(-1.0), None);
        assert_eq!(of_number(1e18), None);
        assert_eq!(of_number(f64::NAN), None);
    }
}
