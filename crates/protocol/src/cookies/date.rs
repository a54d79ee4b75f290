//! Dates of cookies (RFC 6265, 5.1.1): whatever has a day, a month, a year and a time, in any order.
//!
//! Invariant: what comes is seconds since 1970, or nothing. Deliberately absent: time zones; all is UTC.

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Seconds since 1970; 0 for what lies before.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':') && c.is_ascii()) {
        if time.is_none() && read_time(token).is_some() {
            time = read_time(token);
        } else if day.is_none() && leading_number(token, 1..=2).is_some() {
            day = leading_number(token, 1..=2);
        } else if month.is_none() && read_month(token).is_some() {
            month = read_month(token);
        } else if year.is_none() {
            year = leading_number(token, 2..=4);
        }
    }
    let (day, month, second) = (day?, month?, time?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    if !(1601..=9999).contains(&year) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let days = days_before(year, month) + i64::from(day) - 1;
    Some(u64::try_from(days * 86_400 + i64::from(second)).unwrap_or(0))
}

/// Seconds of the day, from `hh:mm:ss`.
fn read_time(token: &str) -> Option<u32> {
    let mut fields = token.splitn(3, ':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    let whole = |field: &str| (field.len() <= 2).then(|| leading_number(field, 1..=2)).flatten();
    let (hour, minute, second) = (whole(hour)?, whole(minute)?, leading_number(second, 1..=2)?);
    (hour <= 23 && minute <= 59 && second <= 59).then_some(hour * 3600 + minute * 60 + second)
}

/// 1 to 12.
fn read_month(token: &str) -> Option<u32> {
    let start = token.get(..3)?;
    (1..).zip(MONTHS).find(|(_, month)| start.eq_ignore_ascii_case(month)).map(|(number, _)| number)
}

/// The number at the start of a token, if it has so many digits; what follows must not be one.
fn leading_number(token: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let length = token.bytes().take_while(u8::is_ascii_digit).count();
    if digits.contains(&length) { token[..length].parse().ok() } else { None }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of the month.
fn days_before(year: u32, month: u32) -> i64 {
    let before = i64::from(year) - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    // 719,162 days lie between the first of January of the year 1 and 1970.
    let days = before * 365 + leap_days - 719_162;
    days + (1..month).map(|month| i64::from(days_in(year, month))).sum::<i64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_all_the_ways_they_are_written() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sunday 6-november-1994 8:49:37",
            "1994 6 Nov 08:49:37",
            "06 Nov 1994 08:49:37x 12:00:00",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "{text}");
        }
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Mon, 01 Jan 1601 00:00:00 GMT"), Some(0));
        assert_eq!(parse("29 Feb 2024 00:00:00"), Some(1_709_164_800));
        assert_eq!(parse("01 Mar 2000 00:00:01"), Some(951_868_801));
        assert_eq!(parse("31 Dec 9999 23:59:59"), Some(253_402_300_799));
        assert_eq!(parse("1 Jan 69 00:00:00"), Some(3_124_224_000));
        assert_eq!(parse("1 Jan 70 00:00:00"), Some(0));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "tomorrow",
            "0 Jan 2020 00:00:00",
            "32 Jan 2020 00:00:00",
            "29 Feb 2023 00:00:00",
            "29 Feb 1900 00:00:00",
            "31 Apr 2020 00:00:00",
            "1 Jan 1600 00:00:00",
            "1 Jan 20201 00:00:00",
            "1 Jan 2020 24:00:00",
            "1 Jan 2020 00:60:00",
            "1 Jan 2020 000:00:00",
            "1 Jan 2020 00:00",
            "1 2020 00:00:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
