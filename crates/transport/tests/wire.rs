//! The wire format at its boundary: what is written, what is understood, what is refused and how it is said.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod samples;

use std::time::Duration;

use expect_test::{Expect, expect};
use transport::{Message, SendError, Topic, wire};

fn written(message: &Message) -> String {
    String::from_utf8(wire::encode(message).unwrap().value).unwrap()
}

fn understood(topic: Topic, json: &str) -> Message {
    wire::decode(topic, json.as_bytes()).unwrap()
}

fn refused(topic: Topic, json: &str, expected: Expect) {
    expected.assert_eq(&wire::decode(topic, json.as_bytes()).unwrap_err().to_string());
}

#[test]
fn every_message_survives() {
    for message in samples::all() {
        let encoded = wire::encode(&message).unwrap();
        assert_eq!(encoded.topic, message.topic());
        let decoded = wire::decode_record(encoded.topic, &encoded.headers, &encoded.value);
        assert_eq!(decoded.unwrap(), message, "{message:?}");
    }
}

#[test]
fn what_is_written() {
    let texts: Vec<String> = samples::all()
        .iter()
        .filter(|message| message.topic() != Topic::Events)
        .filter(|message| !matches!(message, Message::TestConfig(_) | Message::Metrics(_)))
        .map(written)
        .filter(|text| text.len() < 1000)
        .collect();
    expect![[r#"
        {"node_id":"f1","node_IP":"10.0.0.8","message_type":"DRIVER_NODE_LEAVE"}
        {"test_id":"7","trigger":"YES"}
        {"node_id":"f1","heartbeat":"YES","timestamp":"1970-01-01T00:00:00.000Z"}
        {"node_id":"d1","node_IP":"10.0.0.7","message_type":"DRIVER_NODE_REGISTER","incarnation":"01930000-0000-7000-8000-000000000001","protocol":1,"version":"0.1.0","cores":8,"memory_bytes":17179869184,"zone":"eu-1a","labels":{"rack":"7"}}
        {"sha256":"3aa01923d1f1931b24c07918c29c4e8cf5229db2c118f51f29044e0f82edcd66","chunk":0,"chunks":1,"data":"bmFtZQphZGEK"}
        {"test_id":"run-1","trigger":"YES","epoch":17,"start_at":1795226712000}
        {"command":"claim","epoch":-1,"seq":0,"store":"01930000-0000-7000-8000-000000000009"}
        {"command":"lease","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","expires_at":1795226712000}
        {"command":"stop","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009"}
        {"command":"abort","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","reason":"the operator said \"stop\"\n"}
        {"command":"set_rate","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","from_ns":18446744073709551615,"factor":0.5}
        {"command":"fence","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","node_id":"d2","incarnation":"01930000-0000-7000-8000-000000000002"}
        {"command":"fixture","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","node_id":"d2","incarnation":"01930000-0000-7000-8000-000000000002","fixture":"setup","plan":"version: 1\n","files":[{"path":"data/users.csv","sha256":"3aa01923d1f1931b24c07918c29c4e8cf5229db2c118f51f29044e0f82edcd66","size":9,"first_offset":4,"last_offset":4}]}
        {"command":"fixture","test_id":"run-1","epoch":17,"seq":3,"store":"01930000-0000-7000-8000-000000000009","node_id":"d2","incarnation":"01930000-0000-7000-8000-000000000002","fixture":"teardown","plan":"version: 1\n","files":[{"path":"data/users.csv","sha256":"3aa01923d1f1931b24c07918c29c4e8cf5229db2c118f51f29044e0f82edcd66","size":9,"first_offset":4,"last_offset":4}],"values":{"ids":[1,2.5,"x",null,{"a":true}],"token":"t/\"0\""}}
        {"node_id":"d1","heartbeat":"YES","timestamp":"2026-11-21T02:05:09.123Z","incarnation":"01930000-0000-7000-8000-000000000001","role":"driver","state":"running","test_id":"run-1","epoch":17,"shares_version":2,"cpu_percent":41.5,"memory_bytes":25000000,"open_sockets":64,"send_lag_p99_us":80,"events_dropped":0,"clock_offset_ms":-1.25,"clock_error_ms":0.75,"requests_sent":12345,"fixture":{"test_id":"run-1","fixture":"setup"}}
        {"node_id":"d1","heartbeat":"YES","timestamp":"2026-11-21T02:05:09.123Z","incarnation":"01930000-0000-7000-8000-000000000001","role":"driver","state":"running","test_id":"run-1","epoch":17,"shares_version":2,"cpu_percent":41.5,"memory_bytes":25000000,"open_sockets":64,"send_lag_p99_us":80,"events_dropped":0,"clock_offset_ms":-1.25,"clock_error_ms":0.75,"requests_sent":12345,"fixture":{"test_id":"run-1","fixture":"teardown","outcome":{"requests":0,"took_ms":0,"failure":"step \"a\": no","failures":0}}}
        {"node_id":"d1","heartbeat":"YES","timestamp":"2026-11-21T02:05:09.123Z","incarnation":"01930000-0000-7000-8000-000000000001","role":"driver","state":"running","test_id":"run-1","epoch":17,"shares_version":2,"cpu_percent":41.5,"memory_bytes":25000000,"open_sockets":64,"send_lag_p99_us":80,"events_dropped":0,"clock_offset_ms":-1.25,"clock_error_ms":0.75,"requests_sent":12345,"fixture":{"test_id":"run-1","fixture":"setup","outcome":{"requests":3,"took_ms":12,"failures":0,"values":{"ids":[1,2.5,"x",null,{"a":true}],"token":"t/\"0\""}}}}
        {"node_id":"d1","heartbeat":"YES","timestamp":"2026-11-21T02:05:09.123Z","incarnation":"01930000-0000-7000-8000-000000000001","role":"driver","state":"running","test_id":"run-1","epoch":17,"shares_version":2,"cpu_percent":41.5,"memory_bytes":25000000,"open_sockets":64,"send_lag_p99_us":80,"events_dropped":0,"clock_offset_ms":-1.25,"clock_error_ms":0.75,"requests_sent":12345}"#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn the_basic_fields_of_our_own_messages() {
    let basics = |message: &Message, end: &str| {
        let text = written(message);
        text[..text.find(end).unwrap()].to_owned()
    };
    assert_eq!(
        basics(&samples::test_config(), ",\"epoch\""),
        r#"{"test_id":"run-1","test_type":"OPEN","test_message_delay":0,"message_count_per_driver":0"#
    );
    assert_eq!(
        basics(&samples::metrics("d1", 1, samples::window(1, 1, 1)), ",\"incarnation\""),
        r#"{"node_id":"d1","test_id":"run-1","report_id":"d1/1","metrics":{"mean_latency":"12.345","median_latency":"11.8","min_latency":"0.9","max_latency":"48"}"#
    );
}

#[test]
fn foreign_messages_in_either_form() {
    let reference = understood(
        Topic::TestConfig,
        r#"{"test_id":"7","test_type":"TSUNAMI","test_message_delay":20,"message_count_per_driver":1000}"#,
    );
    for other in [
        r#"{"test_id":"7","test_type":"TSUNAMI","test_message_delay":"20","message_count_per_driver":"1000"}"#,
        r#"{"test_id":7,"test_type":"tsunami","test_message_delay":"20ms","message_count_per_driver":1000.0}"#,
        r#"{"test_id":"7","test_type":"TSUNAMI","test_message_delay":"0.02 s","message_count_per_driver":" 1000 ","priority":[1,{}]}"#,
        r#" {"epoch":null,"message_count_per_driver":1e3,"test_message_delay":20.0,"test_type":"TSUNAMI","test_id":"7"} "#,
    ] {
        assert_eq!(understood(Topic::TestConfig, other), reference, "{other}");
    }
    let Message::TestConfig(config) = reference else { panic!("another message") };
    assert_eq!(config.message_delay, Duration::from_millis(20));

    let reference = understood(
        Topic::Metrics,
        r#"{"node_id":"a","test_id":"7","report_id":"r","metrics":{"mean_latency":"12.5","median_latency":"11","min_latency":"0.9","max_latency":"48.0"}}"#,
    );
    let numbers = r#"{"node_id":"a","test_id":"7","report_id":"r","metrics":{"mean_latency":12.5,"median_latency":11,"min_latency":0.9,"max_latency":48},"windows":7,"seq":"x"}"#;
    assert_eq!(understood(Topic::Metrics, numbers), reference);

    for timestamp in [
        "\"2026-11-21T02:05:09.123Z\"",
        "1795226709123",
        "1795226709.123",
        "\"1795226709.123\"",
        "\"1795226709123\"",
    ] {
        let json = format!(
            r#"{{"node_id":"a","heartbeat":"YES","timestamp":{timestamp},"state":5,"version":{{}}}}"#
        );
        let Message::Heartbeat(heartbeat) = understood(Topic::Heartbeat, &json) else {
            panic!("another message")
        };
        assert_eq!((heartbeat.timestamp_unix_ms, heartbeat.ours), (1_795_226_709_123, None), "{timestamp}");
    }
}

#[test]
fn what_is_refused_and_why() {
    use Topic::{Control, Heartbeat, Metrics, Register, TestConfig, Trigger};
    refused(Register, "", expect!["register message, field `.`: expected a JSON object"]);
    refused(Register, "[1,2]", expect!["register message, field `.`: expected a JSON object"]);
    refused(
        Register,
        "{}",
        expect![[r#"register message, field `node_id`: missing field `node_id` at line 1 column 2"#]],
    );
    refused(
        Register,
        r#"{"node_id":"a","message_type":"HELLO"}"#,
        expect![
            "register message, field `message_type`: unknown variant `HELLO`, expected `DRIVER_NODE_REGISTER` or `DRIVER_NODE_LEAVE` at line 1 column 37"
        ],
    );
    refused(
        Register,
        r#"{"node_id":"","message_type":"DRIVER_NODE_LEAVE"}"#,
        expect![[
            r#"register message, field `node_id`: expected an identifier of 1 to 256 bytes, found "" at line 1 column 13"#
        ]],
    );
    refused(
        Register,
        r#"{"node_id":"a","message_type":"DRIVER_NODE_REGISTER","incarnation":"01930000-0000-7000-8000-000000000001","protocol":2}"#,
        expect![
            "register message, field `protocol`: expected protocol version 1, found 2; use the same version of swell everywhere at line 1 column 119"
        ],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"FLOOD","test_message_delay":1,"message_count_per_driver":1}"#,
        expect![
            "test_config message, field `test_type`: expected AVALANCHE, TSUNAMI or OPEN, found \"FLOOD\" at line 1 column 34"
        ],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"TSUNAMI","test_message_delay":"soon","message_count_per_driver":1}"#,
        expect![[
            r#"test_config message, field `test_message_delay`: expected a delay of 0 to 7 days, in milliseconds or with a unit such as 20ms or 1s, found "soon" at line 1 column 64"#
        ]],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"TSUNAMI","test_message_delay":-1,"message_count_per_driver":1}"#,
        expect![
            "test_config message, field `test_message_delay`: expected a delay of 0 to 7 days, in milliseconds or with a unit such as 20ms or 1s, found -1 at line 1 column 60"
        ],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"AVALANCHE","test_message_delay":1,"message_count_per_driver":-5}"#,
        expect![
            "test_config message, field `message_count_per_driver`: expected a whole number of at least 0, found -5 at line 1 column 92"
        ],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"AVALANCHE","test_message_delay":1,"message_count_per_driver":1.5}"#,
        expect![
            "test_config message, field `message_count_per_driver`: expected a whole number of at least 0, found 1.5 at line 1 column 93"
        ],
    );
    refused(
        TestConfig,
        r#"{"test_id":"1","test_type":"OPEN","test_message_delay":0,"message_count_per_driver":0,"epoch":1,"plan":"x","plan_sha256":"00","shares":{"version":1,"drivers":[],"owners":[]}}"#,
        expect!["test_config message, field `plan_sha256`: expected the SHA-256 of the field `plan`"],
    );
    refused(
        Trigger,
        r#"{"test_id":"1","trigger":"NO"}"#,
        expect![[r#"trigger message, field `trigger`: expected "YES", found "NO" at line 1 column 30"#]],
    );
    refused(
        Trigger,
        r#"{"test_id":"1","trigger":"YES","epoch":"x"}"#,
        expect![[
            r#"trigger message, field `epoch`: expected a whole number, found "x" at line 1 column 43"#
        ]],
    );
    refused(
        Control,
        r#"{"command":"dance","epoch":1,"seq":1,"store":"x"}"#,
        expect![
            "control message, field `command`: unknown variant `dance`, expected one of `claim`, `lease`, `stop`, `abort`, `set_rate`, `set_shares`, `fence`, `fixture` at line 1 column 18"
        ],
    );
    refused(
        Control,
        r#"{"command":"lease","epoch":1,"seq":1,"store":"01930000-0000-7000-8000-000000000009"}"#,
        expect!["control message, field `expires_at`: missing field `expires_at`"],
    );
    refused(
        Control,
        r#"{"command":"set_rate","epoch":1,"seq":1,"store":"01930000-0000-7000-8000-000000000009","from_ns":1,"factor":0}"#,
        expect!["control message, field `factor`: expected a number above 0"],
    );
    refused(
        Control,
        r#"{"command":"set_shares","epoch":1,"seq":1,"store":"01930000-0000-7000-8000-000000000009","from_ns":1,"shares":{"version":1,"drivers":["a"],"owners":[0]}}"#,
        expect!["control message, field `shares.owners`: expected 1024 lanes, found 1"],
    );
    refused(
        Metrics,
        r#"{"node_id":"a","test_id":"1","report_id":"r","metrics":{"mean_latency":"fast"}}"#,
        expect![[
            r#"metrics message, field `metrics.mean_latency`: expected a latency in milliseconds of at least 0, found "fast" at line 1 column 78"#
        ]],
    );
    refused(
        Metrics,
        r#"{"node_id":"a","test_id":"1","report_id":"r","metrics":{"mean_latency":1}}"#,
        expect![
            "metrics message, field `metrics.median_latency`: missing field `median_latency` at line 1 column 73"
        ],
    );
    let with = |added: &str| {
        format!(
            r#"{{"node_id":"a","test_id":"1","report_id":"r","metrics":{{"mean_latency":1,"median_latency":1,"min_latency":1,"max_latency":1}},"incarnation":"01930000-0000-7000-8000-000000000001","seq":1,"part":0,"parts":1,"second":1,"requests_sent":1,{added}}}"#
        )
    };
    refused(
        Metrics,
        &with(r#""windows":"*""#),
        expect!["metrics message, field `windows`: expected base64: Invalid symbol 42, offset 0."],
    );
    refused(
        Metrics,
        &with(r#""windows":"AgAAAAAA""#),
        expect!["metrics message, field `windows`: expected layout version 1, found 2"],
    );
    refused(
        Metrics,
        &with(r#""windows":"Af////8A""#),
        expect![
            "metrics message, field `windows`: expected a window that unpacks to at most 8 MiB, found 4294967295 bytes announced"
        ],
    );
    refused(
        Metrics,
        &with(r#""final":true"#),
        expect!["metrics message, field `totals`: missing field `totals`"],
    );
    refused(
        Heartbeat,
        r#"{"node_id":"a","heartbeat":"YES","timestamp":"yesterday"}"#,
        expect![[
            r#"heartbeat message, field `timestamp`: expected a time as RFC 3339, Unix seconds or Unix milliseconds, found "yesterday" at line 1 column 57"#
        ]],
    );
    refused(
        Heartbeat,
        r#"{"node_id":"a","heartbeat":"YES","timestamp":1} {}"#,
        expect!["heartbeat message, field `.`: trailing characters at line 1 column 49"],
    );
    let long = format!(r#"{{"node_id":"{}","heartbeat":"YES","timestamp":1}}"#, "x".repeat(600_000));
    refused(
        Heartbeat,
        &long,
        expect!["heartbeat message, field `.`: expected at most 524288 bytes, found 600046"],
    );
    refused(
        Heartbeat,
        &"[".repeat(1000).replacen('[', "{\"a\":", 1),
        expect!["heartbeat message, field `a`: EOF while parsing a list at line 1 column 1004"],
    );
}

#[test]
fn files_are_refused_that_nobody_can_have_sent() {
    use Topic::{Files, TestConfig};
    let chunk = |sha256: &str, rest: &str| format!(r#"{{"sha256":"{sha256}",{rest}}}"#);
    let hash = "0".repeat(64);
    refused(Files, "{}", expect!["files message, field `sha256`: missing field `sha256` at line 1 column 2"]);
    refused(
        Files,
        &chunk("abc", r#""chunk":0,"chunks":1,"data":"""#),
        expect!["files message, field `sha256`: expected a SHA-256 in hexadecimal"],
    );
    refused(
        Files,
        &chunk(&hash, r#""chunk":1,"chunks":1,"data":"""#),
        expect!["files message, field `chunk`: expected less than `chunks` (1), found 1"],
    );
    refused(
        Files,
        &chunk(&hash, r#""chunk":0,"chunks":1,"data":"!""#),
        expect!["files message, field `data`: Invalid symbol 33, offset 0."],
    );
    let large = "A".repeat(4 * (wire::MAX_CHUNK_BYTES / 3 + 1));
    refused(
        Files,
        &chunk(&hash, &format!(r#""chunk":0,"chunks":1,"data":"{large}""#)),
        expect!["files message, field `data`: expected at most 524288 bytes"],
    );
    let config = written(&samples::test_config());
    let size = r#""size":9"#;
    refused(
        TestConfig,
        &config.replace(size, r#""size":1073741825"#),
        expect!["test_config message, field `files`: expected at most 1000 files of 1073741824 bytes"],
    );
    refused(
        TestConfig,
        &config.replace(size, r#""size":-1"#),
        expect![
            "test_config message, field `files[0].size`: expected a whole number of at least 0, found -1 at line 1 column 2505"
        ],
    );
    let wrong = config.replace(&wire::sha256("name\nada\n"), "../../etc/passwd");
    refused(
        TestConfig,
        &wrong,
        expect![[r#"test_config message, field `files`: "data/users.csv" has no SHA-256"#]],
    );
}

#[test]
fn a_plan_of_a_version_without_files_is_understood() {
    let config = written(&samples::test_config());
    let (before, files) = config.split_once(r#","files":["#).unwrap();
    let without = before.to_owned() + files.split_once(']').unwrap().1;
    let Message::TestConfig(understood) = understood(Topic::TestConfig, &without) else {
        panic!("{without}")
    };
    assert_eq!(understood.ours.unwrap().files, []);
}

#[test]
fn what_is_too_large_is_not_sent() {
    let Message::TestConfig(mut config) = samples::test_config() else { panic!("another message") };
    config.ours.as_mut().unwrap().plan = "x".repeat(1_000_000);
    let refused = wire::encode(&Message::TestConfig(config));
    assert!(matches!(refused, Err(SendError::TooLarge { topic: Topic::TestConfig, .. })), "{refused:?}");
}

#[test]
fn a_large_second_is_divided_into_parts_that_merge_to_it() {
    // 500 steps with as many bins each make several parts.
    let whole = samples::window(9, 500, 400);
    let parts = wire::split(whole.clone());
    assert!(parts.len() > 1, "{} parts", parts.len());
    let mut largest = 0;
    let mut merged = metrics::DriverWindow { from_s: 9, to_s: 10, ..metrics::DriverWindow::default() };
    for (number, part) in parts.into_iter().enumerate() {
        assert_eq!(part.stages.is_empty(), number > 0);
        let encoded = wire::encode(&samples::metrics("d1", 9, part)).unwrap();
        largest = largest.max(encoded.value.len());
        let Ok(Message::Metrics(metrics)) = wire::decode(Topic::Metrics, &encoded.value) else {
            panic!("part {number} was not understood")
        };
        merged.merge(metrics.ours.unwrap().window.unwrap());
    }
    assert_eq!(merged, whole);
    assert!(largest < wire::MAX_PART_BYTES + 1024, "{largest} bytes");
    assert_eq!(wire::split(samples::window(1, 20, 100)).len(), 1);
}

#[test]
fn a_step_with_all_its_phases_fits_a_message() {
    const REQUESTS: u32 = 500_000;
    let mut whole = samples::window(9, 1, REQUESTS);
    let mut random = fastrand::Rng::with_seed(3);
    let mut phases = metrics::PhaseTimings::default();
    for _ in 0..REQUESTS {
        let mut some = || Some(random.u64(1..3_600_000_000_000) >> random.u32(0..32));
        phases.record(&metrics::Phases {
            lookup_ns: some(),
            connect_ns: some(),
            tls_ns: some(),
            sending_ns: some(),
            waiting_ns: some(),
            receiving_ns: some(),
        });
    }
    whole.steps[0].phases = Some(Box::new(phases));
    let parts = wire::split(whole.clone());
    assert_eq!(parts, [whole.clone()]);
    let encoded = wire::encode(&samples::metrics("d1", 9, whole)).unwrap();
    assert!(encoded.value.len() < wire::MAX_PART_BYTES + 1024, "{} bytes", encoded.value.len());
}

/// Whatever happens to the bytes on their way, decoding returns. What it accepts, it can write and read again.
#[test]
fn mutated_messages_never_panic() {
    let executions: u64 = std::env::var("EXECUTIONS").map_or(120_000, |text| text.parse().unwrap());
    let seed = 20_261_121;
    println!("seed {seed}, {executions} executions");
    let mut random = fastrand::Rng::with_seed(seed);
    let corpus: Vec<(Topic, Vec<u8>)> = samples::all()
        .iter()
        .filter(|message| message.topic() != Topic::Events)
        .map(|message| wire::encode(message).unwrap())
        .map(|encoded| (encoded.topic, encoded.value))
        .collect();
    let mut accepted = 0;
    for execution in 0..executions {
        let (topic, mut bytes) = random.choice(&corpus).unwrap().clone();
        for _ in 0..random.u32(1..4) {
            mutate(&mut random, &mut bytes, &corpus);
        }
        let topic = if random.u8(..) < 8 { *random.choice(&Topic::ALL).unwrap() } else { topic };
        if let Ok(message) = wire::decode(topic, &bytes) {
            accepted += 1;
            if execution % 16 == 0 {
                // Not compared: the last digit of an absurd number may change.
                let again = wire::encode(&message).unwrap();
                assert!(wire::decode(topic, &again.value).is_ok(), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }
    assert!(
        accepted > executions / 100,
        "only {accepted} accepted: the mutations miss what is behind the first check"
    );
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>, corpus: &[(Topic, Vec<u8>)]) {
    const TOKENS: [&str; 14] = [
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"\"",
        "{}",
        "[]",
        "true",
        "\\u0000",
        "\"-0.5\"",
        ",",
        "}",
        "\u{ff}",
        "99999999999999999999999999999999999999999",
    ];
    if bytes.is_empty() {
        return;
    }
    let at = random.usize(..bytes.len());
    match random.u32(..8) {
        0 => bytes[at] ^= 1 << random.u32(..8),
        1 => bytes[at] = random.u8(..),
        2 => bytes.truncate(at),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, random.u8(..)),
        // Replaces a value: from a colon to the next comma.
        5 => {
            let colon = bytes[at..].iter().position(|byte| *byte == b':').map(|found| at + found + 1);
            if let Some(from) = colon {
                let to = bytes[from..]
                    .iter()
                    .position(|byte| b",}".contains(byte))
                    .map_or(bytes.len(), |end| from + end);
                bytes.splice(from..to, random.choice(TOKENS).unwrap().bytes());
            }
        }
        6 => {
            let token = random.choice(TOKENS).unwrap();
            bytes.splice(at..at, token.bytes());
        }
        _ => {
            let (_, other) = random.choice(corpus).unwrap();
            let from = random.usize(..other.len());
            let to = (from + random.usize(..64)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
    }
}

#[test]
fn values_that_are_too_large_or_too_deep_do_not_travel() {
    let text = |bytes: usize| plan::Values::from([("a".to_owned(), "x".repeat(bytes).into())]);
    assert_eq!(wire::fit_values(&text(60_000)), Ok(()));
    let said = wire::fit_values(&text(wire::MAX_VALUES_BYTES)).unwrap_err();
    assert_eq!(said, "the values have 65544 bytes as JSON, more than 65536");
    let nested =
        |levels: usize| (0..levels).fold(serde_json::json!(1), |value, _| serde_json::json!([value]));
    let deep = |levels: usize| plan::Values::from([("a".to_owned(), nested(levels))]);
    assert_eq!(wire::fit_values(&deep(100)), Ok(()));
    assert_eq!(wire::fit_values(&deep(125)).unwrap_err(), "a value is nested too deep");
    // What fits is read again.
    let outcome = transport::FixtureOutcome { values: deep(118), ..transport::FixtureOutcome::default() };
    let message = samples::fixture_heartbeat(plan::Fixture::Setup, Some(outcome));
    let encoded = wire::encode(&message).unwrap();
    assert_eq!(wire::decode(encoded.topic, &encoded.value).unwrap(), message);
}

#[test]
fn a_batch_of_events_says_whose_it_is_in_headers() {
    let encoded = wire::encode(&samples::events("d1", 7, 2000)).unwrap();
    let shown: Vec<String> =
        encoded.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    expect![[r#"
        run: 7
        driver: d1
        incarnation: 00000000-0000-0000-0000-00000000004d
        epoch: 12
        batch: 7
        rows: 3
        crc32: 65330def
    "#]]
    .assert_eq(&shown.concat());

    let refused = |name: &str, value: Option<&str>, expected: Expect| {
        let mut headers = encoded.headers.clone();
        headers.retain(|(found, _)| found != name);
        headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        let malformed = wire::decode_record(Topic::Events, &headers, &encoded.value).unwrap_err();
        assert_eq!(malformed.value, encoded.value);
        expected.assert_eq(&malformed.to_string());
    };
    refused("run", None, expect!["events message, field `run`: missing header `run`"]);
    refused("run", Some(""), expect!["events message, field `run`: expected 1 to 256 bytes, found 0"]);
    refused("rows", Some("-1"), expect![[r#"events message, field `rows`: found "-1""#]]);
    refused("incarnation", Some("7"), expect![[r#"events message, field `incarnation`: found "7""#]]);
    refused(
        "crc32",
        Some("00000000"),
        expect!["events message, field `crc32`: the rows are not those that were sent"],
    );
}
