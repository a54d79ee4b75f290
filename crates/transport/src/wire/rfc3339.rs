//! Times of day as RFC 3339 says them, to the millisecond.

/// 0000-01-01T00:00:00Z in Unix milliseconds.
pub const FIRST_MS: i64 = -62_167_219_200_000;
/// The last millisecond of the year 9999.
pub const LAST_MS: i64 = 253_402_300_799_999;

const DAY_MS: i64 = 86_400_000;

/// `unix_ms` as `2026-11-21T02:05:09.123Z`; times outside the years 0 to 9999 are held at their ends.
pub fn format(unix_ms: i64) -> String {
    let ms = unix_ms.clamp(FIRST_MS, LAST_MS);
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let of_day = ms.rem_euclid(DAY_MS);
    let (hour, minute, second, fraction) =
        (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Unix milliseconds of an RFC 3339 time with any offset; finer fractions are cut off. A leap second counts as the
/// second after it.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let separated = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    let complete = separated(4, b"-")
        && separated(7, b"-")
        && separated(10, b"Tt ")
        && separated(13, b":")
        && separated(16, b":");
    if !complete || !text.is_ascii() {
        return None;
    }
    let (year, month, day) = (digits(text, 0..4)?, digits(text, 5..7)?, digits(text, 8..10)?);
    let (hour, minute, second) = (digits(text, 11..13)?, digits(text, 14..16)?, digits(text, 17..19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !in_range {
        return None;
    }
    let (fraction_ms, zone) = fraction(&text[19..])?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1000 + fraction_ms - zone_ms(zone)?)
}

/// The milliseconds of a leading `.123456`, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let padded: String = rest[..end].chars().chain("00".chars()).take(3).collect();
    (end > 0).then_some((padded.parse().ok()?, &rest[end..]))
}

/// Milliseconds by which a zone is ahead of UTC.
fn zone_ms(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let valid = zone.len() == 6 && zone.as_bytes()[3] == b':';
    let (hours, minutes) = if valid { (digits(zone, 1..3)?, digits(zone, 4..6)?) } else { return None };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn digits(text: &str, range: std::ops::Range<usize>) -> Option<i64> {
    let part = text.get(range)?;
    if part.bytes().all(|byte| byte.is_ascii_digit()) { part.parse().ok() } else { None }
}

fn days_in(year: i64, month: i64) -> i64 {
    let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    next - days(year, month, 1)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, and back: Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms".
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:15.5Z", 951_827_415_500),
            ("2026-11-21T02:05:09.123456Z", 1_795_226_709_123),
            ("2026-11-21T03:05:09.123+01:00", 1_795_226_709_123),
            ("2026-11-20 21:35:09.12-04:30", 1_795_226_709_120),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
        assert_eq!(format(1_795_226_709_123), "2026-11-21T02:05:09.123Z");
    }

    #[test]
    fn what_is_not_a_time() {
        for text in [
            "",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T02:05:09",
            "2026-11-21T02:05:09.Z",
            "2026-11-21T02:05:09+1:00",
            "2026-11-21T02:05:09+24:00",
            "2026-11-21T02:05:0éZ",
            "+026-11-21T02:05:09Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_time_survives() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let ms = random.i64(FIRST_MS..=LAST_MS);
            assert_eq!(parse(&format(ms)), Some(ms), "{ms}");
        }
        assert_eq!(parse(&format(i64::MAX)), Some(LAST_MS));
        assert_eq!(parse(&format(i64::MIN)), Some(FIRST_MS));
    }
}
