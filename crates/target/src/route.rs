//! Which behaviour a path asks for.

use std::time::Duration;

/// The longest `/delay` and `/control/stall`, so that a connection is not held for ever.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// The largest `/bytes`.
const MAX_BYTES: u64 = 1 << 30;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Ping,
    /// Nanoseconds.
    Delay(u64),
    Status(u16),
    Bytes(u64),
    Echo,
    Stall,
    /// Whatever the shop makes of it.
    Shop,
    /// What the shop has counted.
    ShopRecord,
    NotFound,
    /// A path of ours with an argument that means nothing.
    BadArgument,
    Metrics,
    /// Nanoseconds.
    ControlStall(u64),
    ControlReset,
    /// A control asked for with another method than POST.
    ControlWrongMethod,
}

impl Route {
    /// The route of a request target in origin form; its query is ignored.
    pub(crate) fn of(method: &str, target: &str) -> Self {
        let path = target.split('?').next().unwrap_or(target);
        let mut parts = path.strip_prefix('/').unwrap_or("").splitn(3, '/');
        let first = parts.next().unwrap_or("");
        let argument = parts.next();
        let route = match (first, argument) {
            ("ping", None) => Some(Self::Ping),
            ("metrics", None) => Some(Self::Metrics),
            ("echo", None) => Some(Self::Echo),
            ("stall", None) => Some(Self::Stall),
            ("delay", Some(text)) => delay_ns(text).map(Self::Delay),
            ("status", Some(text)) => status(text).map(Self::Status),
            ("bytes", Some(text)) => bytes(text).map(Self::Bytes),
            ("control", Some(command)) => return control(method, command, parts.next()),
            _ => return Self::NotFound,
        };
        if parts.next().is_some() { Self::NotFound } else { route.unwrap_or(Self::BadArgument) }
    }

    /// The same with a shop behind it, to which goes what is none of ours.
    pub(crate) fn or_shop(self, target: &str) -> Self {
        match self {
            Self::NotFound if target.split('?').next() == Some("/api/record") => Self::ShopRecord,
            Self::NotFound => Self::Shop,
            other => other,
        }
    }

    /// Whether the shop answers it, from its head and its body.
    pub(crate) fn is_shop(self) -> bool {
        matches!(self, Self::Shop | Self::ShopRecord)
    }

    /// Whether the answer is made of the body.
    pub(crate) fn keeps_body(self) -> bool {
        self == Self::Echo || self.is_shop()
    }

    /// Whether it looks at or steers the server: not counted, and not held up by a stall.
    pub(crate) fn is_control(self) -> bool {
        matches!(
            self,
            Self::Metrics
                | Self::ShopRecord
                | Self::ControlStall(_)
                | Self::ControlReset
                | Self::ControlWrongMethod
        )
    }
}

fn control(method: &str, command: &str, argument: Option<&str>) -> Route {
    let route = match (command, argument) {
        ("reset", None) => Route::ControlReset,
        ("stall", Some(text)) => delay_ns(text).map_or(Route::BadArgument, Route::ControlStall),
        _ => return Route::NotFound,
    };
    if method == "POST" { route } else { Route::ControlWrongMethod }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let (digits, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    Some((digits.parse().ok()?, unit))
}

fn delay_ns(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let unit_ns = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return None,
    };
    number.checked_mul(unit_ns).filter(|delay_ns| *delay_ns <= clock::nanos(MAX_DELAY))
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (200..=599).contains(status))
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let unit_bytes = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit_bytes).filter(|bytes| *bytes <= MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_routes() {
        for (target, route) in [
            ("/ping", Route::Ping),
            ("/ping?x=/delay/1s", Route::Ping),
            ("/ping/", Route::NotFound),
            ("/", Route::NotFound),
            ("*", Route::NotFound),
            ("http://host/ping", Route::NotFound),
            ("/delay/20ms", Route::Delay(20_000_000)),
            ("/delay/0s", Route::Delay(0)),
            ("/delay/10m", Route::Delay(600_000_000_000)),
            ("/delay/11m", Route::BadArgument),
            ("/delay/20", Route::BadArgument),
            ("/delay/", Route::BadArgument),
            ("/delay", Route::NotFound),
            ("/delay/1s/x", Route::NotFound),
            ("/delay/99999999999999999999s", Route::BadArgument),
            ("/status/503", Route::Status(503)),
            ("/status/100", Route::BadArgument),
            ("/status/600", Route::BadArgument),
            ("/bytes/1MiB", Route::Bytes(1 << 20)),
            ("/bytes/17", Route::Bytes(17)),
            ("/bytes/2kB", Route::Bytes(2000)),
            ("/bytes/1GiB", Route::Bytes(1 << 30)),
            ("/bytes/2GiB", Route::BadArgument),
            ("/bytes/-1", Route::BadArgument),
            ("/echo", Route::Echo),
            ("/stall", Route::Stall),
            ("/metrics", Route::Metrics),
            ("/control/reset", Route::ControlWrongMethod),
            ("/control/else", Route::NotFound),
        ] {
            assert_eq!(Route::of("GET", target), route, "{target}");
        }
        for (target, route) in [
            ("/ping", Route::Ping),
            ("/bytes/x", Route::BadArgument),
            ("/", Route::Shop),
            ("/api/record?x", Route::ShopRecord),
            ("/api/record/x", Route::Shop),
        ] {
            assert_eq!(Route::of("GET", target).or_shop(target), route, "{target}");
        }
        assert_eq!(Route::of("POST", "/control/reset"), Route::ControlReset);
        assert_eq!(Route::of("POST", "/control/stall/2s"), Route::ControlStall(2_000_000_000));
        assert_eq!(Route::of("POST", "/control/stall/x"), Route::BadArgument);
    }
}
