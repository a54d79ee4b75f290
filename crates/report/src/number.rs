//! Numbers as people read them: three significant digits, thousands apart, a unit that fits.
//!
//! Invariant: the text of a number is at most [`WIDEST`] columns wide, whatever the number is; what is not finite is
//! said as [`NOTHING`], never as a number.

/// Said where nothing was measured.
pub(crate) const NOTHING: &str = "–";

/// Columns of the widest number: a count just below [`LARGEST_COUNT`].
pub(crate) const WIDEST: usize = 15;

/// Counts from here on are said in powers of ten: nobody reads more digits.
const LARGEST_COUNT: u64 = 1_000_000_000_000;

/// Values from here on are said in powers of ten.
const LARGEST_VALUE: f64 = 1e9;

/// A count, every digit of it: `180,000`.
pub(crate) fn count(count: u64) -> String {
    if count < LARGEST_COUNT { grouped(count) } else { format!("{:.2e}", count as f64) }
}

/// A value with three significant digits: `0.0812`, `1.23`, `12.3`, `1,230`.
pub(crate) fn three_digits(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let size = value.abs();
    if size < 1e-6 {
        return "0".to_owned();
    }
    if size >= LARGEST_VALUE {
        return format!("{value:.2e}");
    }
    // The exponent is taken after rounding, so that 9.996 is 10.0 and not 10.00.
    let exponent = exponent_of_rounded(size);
    let sign = if value < 0.0 { "-" } else { "" };
    if let Ok(decimals @ 1..) = usize::try_from(2 - exponent) {
        return format!("{sign}{size:.decimals$}");
    }
    let unit = 10f64.powi(exponent - 2);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 100 and LARGEST_VALUE"
    )]
    let rounded = ((size / unit).round() * unit).round() as u64;
    format!("{sign}{}", grouped(rounded))
}

/// A value that somebody wrote, with three significant digits at most: `20`, `0.5`, `1,230`.
pub(crate) fn as_given(value: f64) -> String {
    let text = three_digits(value);
    match text.split_once('.') {
        Some((whole, decimals)) if !text.contains('e') => match decimals.trim_end_matches('0') {
            "" => whole.to_owned(),
            decimals => format!("{whole}.{decimals}"),
        },
        _ => text,
    }
}

fn exponent_of_rounded(size: f64) -> i32 {
    let scientific = format!("{size:.2e}");
    scientific.rsplit('e').next().and_then(|exponent| exponent.parse().ok()).unwrap_or(0)
}

/// `part` of `whole` in percent: `0.00556 %`; nothing when there is no whole.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { NOTHING.to_owned() } else { percent(part as f64 / whole as f64) }
}

/// A share between 0 and 1 in percent. A share that is not all never reads 100 %, and one that is not none never 0 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 99.9 && percent < 100.0 {
        // Three significant digits of what is missing: 99.994 %.
        let missing = three_digits(100.0 - percent);
        let decimals = missing.split_once('.').map_or(0, |(_, decimals)| decimals.len()).min(6);
        let text = format!("{percent:.decimals$}");
        return if text.starts_with("100") { "< 100 %".to_owned() } else { format!("{text} %") };
    }
    if percent > 0.0 && percent < 1e-6 {
        return "> 0 %".to_owned();
    }
    format!("{} %", three_digits(percent))
}

/// Bytes in the unit of 1,024 that leaves at most three digits before the point: `1.21 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", three_digits(value))
}

/// A span of seconds as minutes and seconds: `05:30`, `1:02:03`; below ten seconds `1.4 s`.
pub(crate) fn clock(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NOTHING.to_owned();
    }
    if seconds < 9.95 && seconds.fract() > 0.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; capped")]
    let whole = seconds.round().min(1e10) as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_significant_digits() {
        let said = [
            0.0,
            1e-9,
            0.000_123_4,
            0.0812,
            0.9996,
            1.234,
            9.996,
            12.34,
            99.96,
            123.4,
            999.6,
            1234.0,
            3_600_000.0,
        ]
        .map(three_digits);
        assert_eq!(
            said,
            [
                "0",
                "0",
                "0.000123",
                "0.0812",
                "1.00",
                "1.23",
                "10.0",
                "12.3",
                "100",
                "123",
                "1,000",
                "1,230",
                "3,600,000"
            ]
        );
        assert_eq!([1e12, f64::NAN, f64::INFINITY, -2.5].map(three_digits), ["1.00e12", "–", "–", "-2.50"]);
    }

    #[test]
    fn given_values_lose_their_zeros() {
        let all = [20.0, 0.5, 1.25, 100.0, 1230.0, 0.0].map(as_given);
        assert_eq!(all, ["20", "0.5", "1.25", "100", "1,230", "0"]);
    }

    #[test]
    fn counts_keep_their_digits() {
        assert_eq!(
            [0, 999, 1000, 180_000, 999_999_999_999, u64::MAX].map(count),
            ["0", "999", "1,000", "180,000", "999,999,999,999", "1.84e19"]
        );
        assert_eq!(count(999_999_999_999).len(), WIDEST);
    }

    #[test]
    fn a_share_is_all_or_nothing_only_when_it_is() {
        let said = [(0, 0), (0, 7), (7, 7), (10, 180_000), (179_990, 180_000), (1, 3), (1, u64::MAX)]
            .map(|(part, whole)| share(part, whole));
        assert_eq!(said, ["–", "0 %", "100 %", "0.00556 %", "99.99444 %", "33.3 %", "> 0 %"]);
    }

    #[test]
    fn bytes_and_spans() {
        assert_eq!(
            [0, 1023, 1024, 1_048_000, 1_268_000].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "0.999 MiB", "1.21 MiB"]
        );
        assert_eq!(
            [0.0, 1.4, 9.0, 12.3, 330.0, 3723.0, f64::NAN].map(clock),
            ["00:00", "1.4 s", "00:09", "00:12", "05:30", "1:02:03", "–"]
        );
    }
}
