//! JSON events: what is read of them, and what is said of those that are set aside.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use scribe::wire;

const EXAMPLE: &str = r#"{"timestamp": "2026-03-01T12:10:22", "test_run_id": "benchmark_test_1", "worker_id": "worker-08", "endpoint": "/api/resource", "latency_ms": 118, "status_code": 200}"#;

/// The example with other values; `None` leaves a key out.
fn with(changes: &[(&str, Option<&str>)]) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(EXAMPLE).unwrap();
    for (key, value) in changes {
        match value {
            Some(value) => object.insert((*key).to_owned(), serde_json::from_str(value).unwrap()),
            None => object.remove(*key),
        };
    }
    serde_json::to_string(&object).unwrap()
}

fn reason(message: &str) -> String {
    wire::read_event(message.as_bytes()).unwrap_err().to_string()
}

#[test]
fn the_example_is_read() {
    let event = wire::read_event(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((&*event.run_id, &*event.worker_id), ("benchmark_test_1", "worker-08"));
    let row = event.row();
    assert_eq!(row.timestamp_us, 1_772_367_022_000_000);
    assert_eq!((row.endpoint, row.status_code, row.response_time_us), ("/api/resource", Some(200), 118_000));
    assert_eq!((row.error, row.stage, row.service_time_us, row.bytes_in), (None, None, None, None));
    assert_eq!(wire::read_event(format!("{EXAMPLE}\n").as_bytes()).unwrap(), event, "with a line's end");
}

#[test]
fn every_field_is_read() {
    let message = with(&[
        ("timestamp", Some("1772367022123")),
        ("latency_ms", Some("118.4567")),
        ("service_time_us", Some("100000")),
        ("send_lag_us", Some("12.4")),
        ("connection_wait_us", Some("0")),
        ("bytes_in", Some("5000000000")),
        ("bytes_out", Some("77")),
        ("stage", Some(r#""peak""#)),
        ("error", Some(r#""check: body \"x\"""#)),
        ("unknown", Some(r#"{"deep": [1, {"a": null}]}"#)),
    ]);
    let event = wire::read_event(message.as_bytes()).unwrap();
    let row = event.row();
    assert_eq!((row.timestamp_us, row.response_time_us), (1_772_367_022_123_000, 118_457));
    assert_eq!(
        (row.service_time_us, row.send_lag_us, row.connection_wait_us),
        (Some(100_000), Some(12), Some(0))
    );
    assert_eq!((row.bytes_in, row.bytes_out), (Some(5_000_000_000), Some(77)));
    assert_eq!((row.stage, row.error), (Some("peak"), Some("check: body \"x\"")));
    let exact = with(&[("response_time_us", Some("118499"))]);
    assert_eq!(wire::read_event(exact.as_bytes()).unwrap().response_time_us, 118_499, "the finer one of two");
    let alone = with(&[("response_time_us", Some("118499")), ("latency_ms", None)]);
    assert_eq!(wire::read_event(alone.as_bytes()).unwrap().response_time_us, 118_499);
}

#[test]
fn failures_have_an_error() {
    let error = |changes: &[(&str, Option<&str>)]| {
        let message = with(changes);
        let event = wire::read_event(message.as_bytes()).unwrap();
        (event.status_code, event.error.map(String::from))
    };
    assert_eq!(error(&[("status_code", Some("503"))]), (Some(503), Some("status: 503".to_owned())));
    assert_eq!(error(&[("status_code", Some("304"))]), (Some(304), None));
    let refused = Some("connect_refused".to_owned());
    for none in [None, Some("null"), Some("0")] {
        assert_eq!(
            error(&[("status_code", none), ("error", Some(r#""connect_refused""#))]),
            (None, refused.clone())
        );
    }
    let long = format!("\"{}\"", "é".repeat(4000));
    let (_, cut) = error(&[("error", Some(&long))]);
    assert_eq!(cut, Some("é".repeat(512)));
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for key in ["timestamp", "test_run_id", "worker_id", "endpoint", "latency_ms", "status_code"] {
        for value in [None, Some("null")] {
            assert_eq!(reason(&with(&[(key, value)])), format!("`{key}` is missing"));
        }
        let found = reason(&with(&[(key, Some("[1]"))]));
        assert!(found.starts_with(&format!("`{key}` must be ")), "{found}");
    }
    for (key, value) in [
        ("timestamp", r#""yesterday""#),
        ("timestamp", "-5"),
        ("timestamp", "true"),
        ("test_run_id", r#""a\nb""#),
        ("test_run_id", "7"),
        ("worker_id", r#""a\u0000b""#),
        ("endpoint", r#""a\u0000b""#),
        ("latency_ms", r#""118""#),
        ("latency_ms", "-0.1"),
        ("latency_ms", "1e12"),
        ("status_code", "99"),
        ("status_code", "200.5"),
        ("status_code", "70000"),
        ("bytes_in", "-1"),
        ("service_time_us", "{}"),
        ("error", "5"),
    ] {
        let found = reason(&with(&[(key, Some(value))]));
        assert!(found.starts_with(&format!("`{key}` ")), "{key} {value}: {found}");
    }
    let long = format!("\"{}\"", "x".repeat(201));
    assert_eq!(reason(&with(&[("stage", Some(&long))])), "`stage` is too long");
}

#[test]
fn what_is_no_object_is_set_aside() {
    for message in ["", "hello", "[]", "7", "null", "{", r#"{"timestamp": }"#, &EXAMPLE.replace("118", "NaN")]
    {
        let found = reason(message);
        assert!(found.starts_with("it is no JSON object: "), "{found}");
    }
    assert!(reason(&format!("{EXAMPLE}{EXAMPLE}")).contains("trailing characters"));
    assert!(wire::read_event(&[b"{\"endpoint\": \"", &[0xff][..], b"\"}"].concat()).is_err());
    for key in ["x", "endpoint"] {
        let deep = format!("{{\"{key}\": {}", "[".repeat(1_000_000));
        assert!(reason(&deep).contains("EOF while parsing"), "no stack is used up");
    }
}
