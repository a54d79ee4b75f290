//! Times as other tools write them, and as plans do.

/// Milliseconds as a plan writes them: `1m30s`, `1.5s`, `200ms`. Never zero.
pub(crate) fn show_ms(ms: u64) -> String {
    let ms = ms.max(1);
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut shown = String::new();
    if hours > 0 {
        shown.push_str(&format!("{hours}h"));
    }
    if minutes > 0 {
        shown.push_str(&format!("{minutes}m"));
    }
    match (rest / 1000, rest % 1000) {
        (0, 0) => {}
        (0, ms) => shown.push_str(&format!("{ms}ms")),
        (s, 0) => shown.push_str(&format!("{s}s")),
        (s, ms) if shown.is_empty() => shown.push_str(format!("{s}.{ms:03}").trim_end_matches('0')),
        (s, ms) => shown.push_str(&format!("{s}s{ms}ms")),
    }
    if shown.ends_with(|c: char| c.is_ascii_digit()) { format!("{shown}s") } else { shown }
}

/// Milliseconds of `1m30s`, `500ms`, `1h`, `2d` as Go, k6 and wrk write them; a bare number counts in `bare` milliseconds.
pub(crate) fn parse_ms(text: &str, bare: f64) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return whole(number * bare);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            "d" => 86400e3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    whole(total)
}

/// A count of at most a hundred years of milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole(ms: f64) -> Option<u64> {
    (0.0..3.2e12).contains(&ms).then(|| ms.round() as u64)
}

/// Milliseconds since 1970 of a time by RFC 3339, such as `2026-03-01T10:00:00.123+01:00`.
pub(crate) fn epoch_ms(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| {
        text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let rest = text.get(19..)?;
    let zone = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let fraction = rest[..zone].strip_prefix('.').unwrap_or("0");
    let fraction: f64 =
        format!("0.{fraction}").parse().ok().filter(|fraction| (0.0..1.0).contains(fraction))?;
    let offset = match rest.get(zone..zone + 1) {
        Some(sign @ ("+" | "-")) => {
            let hours: u8 = rest.get(zone + 1..zone + 3)?.parse().ok()?;
            let minutes: u8 = rest.get(zone + 3..)?.trim_start_matches(':').parse().ok()?;
            let minutes = i64::from(hours) * 60 + i64::from(minutes);
            if sign == "+" { minutes } else { -minutes }
        }
        _ => 0,
    };
    // Days of the civil calendar, by Howard Hinnant's `days_from_civil`.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    #[expect(clippy::cast_possible_truncation, reason = "less than a second")]
    let ms = (fraction * 1000.0) as i64;
    Some(seconds * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(parse_ms("1m30s", 1.0), Some(90_000));
        assert_eq!(parse_ms("1.5h", 1.0), Some(5_400_000));
        assert_eq!(parse_ms("30", 1000.0), Some(30_000));
        assert_eq!(parse_ms("five", 1.0), None);
        let shown: Vec<String> = [0, 200, 1_500, 30_000, 90_000, 3_661_500].map(show_ms).to_vec();
        assert_eq!(shown, ["1ms", "200ms", "1.5s", "30s", "1m30s", "1h1m1s500ms"]);
        assert_eq!(epoch_ms("1970-01-02T00:00:00.250Z"), Some(86_400_250));
        assert_eq!(epoch_ms("2026-03-01T10:00:00+01:00"), epoch_ms("2026-03-01T09:00:00.000Z"));
        assert_eq!(epoch_ms("2000-02-29T00:00:00Z"), Some(951_782_400_000));
        assert_eq!(epoch_ms("yesterday"), None);
    }
}
