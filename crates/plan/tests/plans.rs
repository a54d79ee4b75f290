//! What is made of sound plans, and that no text whatever makes the parser fall over.

use std::time::Duration;

use expect_test::{Expect, expect};
use plan::{BasicType, Load, LoopKind, Plan};

fn parse(text: &str) -> Plan {
    match plan::parse("p.yaml", text) {
        Ok(plan) => plan,
        Err(faults) => panic!("{}", faults.iter().map(|fault| format!("{fault}\n")).collect::<String>()),
    }
}

const OPEN: &str = r#"
version: 1
name: checkout
target: [ "http://10.0.0.1:8080/shop/", "http://[::1]" ]
seed: 7
load:
  model: open
  stages:
    - { name: warmup, at: 50/s, for: 30s, warmup: true }
    - { at: 30/min, for: 1h30m }
  connections: { max: 200 }
  max_in_flight: 500
  max_wait: 2s
drain: 5s
on_driver_loss: abort
on_unready_driver: start_without
scenarios:
  browse:
    weight: 80
    steps:
      - get: /products?page=1
        query: { "q x": "a&b", tag: [1, "ü"] }
        headers: { accept: text/html }
        expect: { status: [200, 3xx, 404..405] }
      - pause: 1s
      - pause: 500ms
      - post: /login
        name: Log in
        json: { user: "1", id: 0x1F, price: +007.50, list: [true, null, ~, .5, 1., 1e3, no], nested: { a: "\u00fc\n" } }
        timeout: 250ms
  buy:
    weight: 20
    steps:
      - post: /cart
        form: { sku: a b, n: 2 }
      - put: /cart/ä
        body: "<x/>"
        headers: { Content-Type: text/xml }
      - get: /products
"#;

fn check_steps(text: &str, expect: Expect) {
    let plan = parse(text);
    let mut said = format!("{:?}\n", plan.rows());
    for scenario in &plan.scenarios {
        said += &format!("{} × {}\n", scenario.name, scenario.weight);
        for op in &scenario.flow {
            let plan::Op::Request(number) = op else {
                said += &format!("  {op:?}\n");
                continue;
            };
            let step = &scenario.steps[*number as usize];
            said += &format!("  {}: {} {} within {:?}\n", step.id.0, step.method, step.path, step.timeout);
            step.headers.iter().for_each(|(name, value)| said += &format!("    {name}: {value}\n"));
            match &step.body {
                plan::Body::Text(text) if !step.body.is_empty() => said += &format!("    {text}\n"),
                _ => {}
            }
            step.expect.status.iter().for_each(|ranges| said += &format!("    expect {ranges:?}\n"));
        }
    }
    expect.assert_eq(&said);
}

#[test]
fn steps() {
    check_steps(
        OPEN,
        expect![[r#"
            ["GET /products", "Log in", "POST /cart", "PUT /cart/ä"]
            browse × 80
              0: GET /products?page=1&q%20x=a%26b&tag=1&tag=%C3%BC within 30s
                accept: text/html
                expect [200..=200, 300..=399, 404..=405]
              Pause(Fixed(1s))
              Pause(Fixed(500ms))
              1: POST /login within 250ms
                content-type: application/json
                {"user":"1","id":31,"price":7.50,"list":[true,null,null,0.5,1,1e3,"no"],"nested":{"a":"ü\n"}}
            buy × 20
              2: POST /cart within 30s
                content-type: application/x-www-form-urlencoded
                sku=a%20b&n=2
              3: PUT /cart/%C3%A4 within 30s
                Content-Type: text/xml
                <x/>
              0: GET /products within 30s
        "#]],
    );
}

#[test]
fn everything_else() {
    let plan = parse(OPEN);
    let targets: Vec<String> = plan.targets.iter().map(ToString::to_string).collect();
    let rest = format!(
        "{targets:?}\n{:?}\n{:?} {:?} {:?} seed {}\n{:?}\n",
        plan.workloads[0].load,
        plan.on_driver_loss,
        plan.on_unready_driver,
        plan.drain,
        plan.seed,
        plan.stages()
    );
    expect![[r#"
        ["http://10.0.0.1:8080/shop", "http://[::1]"]
        Open { arrivals: Uniform, stages: [Stage { name: "warmup", from: Rate { millionths: 50000000, seconds: 1 }, to: Rate { millionths: 50000000, seconds: 1 }, duration: 30s, warmup: true }, Stage { name: "stage 2", from: Rate { millionths: 30000000, seconds: 60 }, to: Rate { millionths: 30000000, seconds: 60 }, duration: 5400s, warmup: false }], connections: Connections { start: 16, max: 200, per: Pool, requests: None, lifetime: None, streams: None }, max_in_flight: Some(500), max_wait: Some(2s) }
        Abort StartWithout 5s seed 7
        [StageInfo { name: "warmup", warmup: true, begins: 0ns, duration: Some(30s), rate_per_s: Some((50.0, 50.0)), users: None }, StageInfo { name: "stage 2", warmup: false, begins: 30s, duration: Some(5400s), rate_per_s: Some((0.5, 0.5)), users: None }]
    "#]].assert_eq(&rest);
    assert_eq!(plan.source, OPEN);
    assert_eq!(plan.targets[1].host, "::1");
    assert_eq!((plan.loop_kind(), plan.is_per_driver(), plan.basic_fields()), (LoopKind::Open, false, None));
}

#[test]
fn json_is_yaml() {
    let text = "{\"version\": 1, \"name\": \"a \\u00fc \\ud83d\\ude00 \\/ \\\"b\\\"\", \"target\": \"http://h\",\n\t\"load\":\n\t\t{\"model\":\"avalanche\",\
                \"requests_per_driver\":5},\n\t\"scenarios\":{\"s\":{\"steps\":[{\"get\":\"/\"}]}}}\n";
    let plan = parse(text);
    assert_eq!(plan.name, "a ü 😀 / \"b\"");
    assert!(matches!(plan.workloads[0].load, Load::Avalanche { requests_per_driver: 5, limit: None, .. }));
    assert_eq!((plan.workloads[0].connections().start, plan.workloads[0].connections().max), (64, 64));
    assert_eq!(plan.loop_kind(), LoopKind::Closed);
}

#[test]
fn scenarios_are_chosen_by_weight_seed_and_index() {
    let plan = parse(OPEN);
    let buys = (0..100_000).filter(|index| plan.workloads[0].scenario_of(*index) == 1).count();
    assert!((19_500..20_500).contains(&buys), "{buys}");
    let again = parse(OPEN);
    assert!(
        (0..1000).all(|index| plan.workloads[0].scenario_of(index) == again.workloads[0].scenario_of(index))
    );
    let other = parse(&OPEN.replace("seed: 7", "seed: 8"));
    assert!(
        (0..1000).any(|index| plan.workloads[0].scenario_of(index) != other.workloads[0].scenario_of(index))
    );
    // Whether a lane's arrivals fall to a scenario must not depend on the lane.
    let lane_buys = (0..10_000).filter(|round| plan.workloads[0].scenario_of(round * 1024 + 5) == 1).count();
    assert!((1_800..2_200).contains(&lane_buys), "{lane_buys}");
}

#[test]
fn basic_fields() {
    let plan = |load: &str| {
        parse(&format!(
            "version: 1\nname: p\ntarget: http://h\nscenarios: {{s: {{steps: [get: /]}}}}\nload: {load}\n"
        ))
    };
    let fields = plan("{model: avalanche, requests_per_driver: 9}").basic_fields().unwrap();
    assert_eq!((fields.test_type, fields.delay, fields.count), (BasicType::Avalanche, Duration::ZERO, 9));
    let fields =
        plan("{model: tsunami, requests_per_driver: 9, delay: 1ms, target_throughput_per_driver: 30/s}")
            .basic_fields()
            .unwrap();
    assert_eq!((fields.test_type, fields.delay), (BasicType::Tsunami, Duration::from_nanos(33_333_334)));
}

#[test]
fn durations() {
    for (text, expected) in [
        ("30s", Duration::from_secs(30)),
        ("1.5s", Duration::from_millis(1500)),
        ("1m30s", Duration::from_secs(90)),
        ("2µs", Duration::from_micros(2)),
        ("7ns", Duration::from_nanos(7)),
        ("0.5h", Duration::from_secs(1800)),
    ] {
        let text = format!(
            "version: 1\nname: p\ntarget: http://h\nscenarios: {{s: {{steps: [get: /]}}}}\ndrain: {text}\n\
             load: {{model: avalanche, requests_per_driver: 9}}\n"
        );
        assert_eq!(parse(&text).drain, expected);
    }
}

#[test]
fn no_text_whatever_panics() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a ",
        "!!int ",
        "{{ x }}",
        "? ",
        "---\n",
        "...\n",
        "#",
        "%YAML 1.2\n",
        "ü",
        "\u{feff}",
        "\r\n",
        ",",
        "0x",
        "99999999999999999999",
        "-1",
        "1e999",
        "500/s",
        "/s",
        "30",
        "1h1h1h",
        "..",
        "..5",
        "http://",
        "http://[",
        "\u{0}",
        "~",
        "<<: ",
    ];
    for seed in 0..4000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut text = if rng.bool() { OPEN.to_owned() } else { String::new() };
        for _ in 0..rng.usize(1..12) {
            let at = text
                .char_indices()
                .map(|(at, _)| at)
                .nth(rng.usize(0..=text.chars().count()))
                .unwrap_or(text.len());
            match rng.u8(0..4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 if at < text.len() => text.truncate(at),
                _ => text.insert_str(at, pieces[rng.usize(0..pieces.len())]),
            }
        }
        if std::panic::catch_unwind(|| plan::parse("p.yaml", &text)).is_err() {
            panic!("seed {seed}: {text:?}");
        }
    }
}
