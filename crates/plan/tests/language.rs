//! What the language says: the way that steps become, and what requests are made of.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use expect_test::{Expect, expect};
use plan::{Body, Bound, Content, Op, Plan, Source};

const HEAD: &str =
    "version: 1\nname: p\ntarget: http://h\nload: { model: open, stages: [ { at: 1/s, for: 1m } ] }\n";

fn sound(parsed: Result<Plan, Vec<plan::Diagnostic>>) -> Plan {
    parsed.unwrap_or_else(|faults| {
        panic!("{}", faults.iter().map(|fault| format!("{fault}\n")).collect::<String>())
    })
}

/// The operations of every scenario, one a line.
fn flow(plan: &Plan) -> String {
    let mut said = String::new();
    for scenario in &plan.scenarios {
        said +=
            &format!("{}: saves {:?}, straight {}\n", scenario.name, scenario.saved, scenario.is_straight());
        for (at, op) in scenario.flow.iter().enumerate() {
            let op = match op {
                Op::Request(number) => {
                    let step = &scenario.steps[*number as usize];
                    format!("{} {} as {}", step.method, step.path, step.name)
                }
                Op::Enter(group) => format!("enter {}", plan.groups()[usize::from(*group)]),
                Op::Leave(group) => format!("leave {}", plan.groups()[usize::from(*group)]),
                Op::Unless(condition, to) => format!("unless {condition} → {to}"),
                Op::Begin(nesting, Bound::Times(times)) => format!("loop {nesting}: {times} times"),
                Op::Begin(nesting, Bound::Each(list)) => format!("loop {nesting}: each of {list}"),
                Op::Head { nesting, condition, item, end } => {
                    let condition = condition.as_ref().map(|it| format!(" while {it}")).unwrap_or_default();
                    let item = item
                        .map(|slot| format!(" as {}", scenario.saved[usize::from(slot)]))
                        .unwrap_or_default();
                    format!("head {nesting}{condition}{item} → {end}")
                }
                Op::Again(nesting, head) => format!("again {nesting} → {head}"),
                Op::Pause(pause) => format!("{pause:?}"),
            };
            said += &format!("  {at} {op}\n");
        }
    }
    said
}

fn check_flow(rest: &str, expect: Expect) {
    expect.assert_eq(&flow(&sound(plan::parse("p.yaml", &format!("{HEAD}{rest}")))));
}

fn source(source: &Source) -> String {
    match source {
        Source::Json(path) => format!("json {path}, a list {}", path.gives_list()),
        Source::Css(css) => format!("css {css}"),
        other => format!("{other:?}"),
    }
}

/// Headers and body of each step, what is saved and what is demanded.
fn check_requests(rest: &str, expect: Expect) {
    let plan = sound(plan::parse("p.yaml", &format!("{HEAD}{rest}")));
    let mut said = String::new();
    for step in plan.scenarios.iter().flat_map(|scenario| &scenario.steps) {
        said += &format!("{} {} {:?}\n", step.method, step.path, step.tags);
        step.headers.iter().for_each(|(name, value)| said += &format!("  {name}: {value}\n"));
        match &step.body {
            Body::Text(text) if step.body.is_empty() => assert_eq!(text.as_text(), Some("")),
            Body::Text(text) => said += &format!("  {text}\n"),
            Body::File(path) => said += &format!("  file {path}\n"),
            Body::Multipart(multipart) => {
                for part in &multipart.parts {
                    said += &format!("  part {}", part.head.to_string().replace("\r\n", " ⏎ "));
                    match &part.content {
                        Content::Text(text) => said += &format!("{text}\n"),
                        Content::File(path) => said += &format!("file {path}\n"),
                    }
                }
            }
        }
        for taking in &step.saves {
            let default = taking.default.as_ref().map(|it| format!(" or {it}")).unwrap_or_default();
            said += &format!("  {} = {}{default}\n", taking.name, source(&taking.source));
        }
        step.expect.status.iter().for_each(|status| said += &format!("  {status:?}\n"));
        step.expect
            .checks
            .iter()
            .for_each(|check| said += &format!("  {} ({})\n", check.text, check.kind().as_str()));
    }
    expect.assert_eq(&said);
}

#[test]
fn the_printed_plan() {
    let text = include_str!("../../swell/tests/design/checkout-peak.plan.yaml");
    let plan = sound(plan::parse("checkout-peak.plan.yaml", text));
    expect![[r#"
        browse: saves [], straight true
          0 GET /api/products?page={{ rand.int(1, 50) }} as GET /api/products
        buy: saves ["token"], straight false
          0 POST /api/login as POST /api/login
          1 Uniform(1s, 3s)
          2 POST /api/cart as POST /api/cart
    "#]]
    .assert_eq(&flow(&plan));
    assert_eq!(plan.secrets(), ["SHOP_PASSWORD"]);
    assert_eq!(plan.columns_of(0), ["name"]);
}

#[test]
fn loops_groups_conditions_and_pauses() {
    check_flow(
        r#"
scenarios:
  s:
    steps:
      - get: /first
        save: { ids: "$.ids[*]", state: $.state }
      - group: all of it
        steps:
          - repeat: "{{ rand.int(1, 3) }}"
            steps:
              - get: /a
                when: loop.index > 0
              - for_each: ids
                as: id
                steps:
                  - get: /items/{{ id }}
                    name: item
          - pause: { normal: 2s, stddev: 500ms }
            when: state == 'slow'
      - while: "{{ state != 'done' and next }}"
        at_most: 5
        steps:
          - pause: 0..1s
          - get: /state
            save: { state: $.state, next: $.next }
      - pause: { exponential: 20ms }
      - when: not next
        steps:
          - repeat: 2
            steps: [ delete: /a ]
"#,
        expect![[r#"
            s: saves ["ids", "state", "id", "next"], straight false
              0 GET /first as GET /first
              1 enter all of it
              2 loop 0: rand.int(1, 3) times
              3 head 0 → 11
              4 unless loop.index > 0 → 6
              5 GET /a as GET /a
              6 loop 1: each of ids
              7 head 1 as id → 10
              8 GET /items/{{ id }} as item
              9 again 1 → 7
              10 again 0 → 3
              11 unless state == 'slow' → 13
              12 Normal(2s, 500ms)
              13 leave all of it
              14 loop 0: 5 times
              15 head 0 while state != 'done' and next → 19
              16 Uniform(0ns, 1s)
              17 GET /state as GET /state
              18 again 0 → 15
              19 Exponential(20ms)
              20 unless not next → 25
              21 loop 0: 2 times
              22 head 0 → 25
              23 DELETE /a as DELETE /a
              24 again 0 → 22
        "#]],
    );
}

#[test]
fn fragments_are_walked_where_they_are_used() {
    check_flow(
        r#"
fragments:
  sign_in:
    - post: /login
      save: { token: $.token }
  shop:
    - use: sign_in
    - get: /{{ token }}
      name: token
scenarios:
  a: { steps: [ use: shop, use: sign_in ] }
  b: { steps: [ get: /, pause: 1s, use: shop ] }
"#,
        expect![[r#"
            a: saves ["token"], straight true
              0 POST /login as POST /login
              1 GET /{{ token }} as token
              2 POST /login as POST /login
            b: saves ["token"], straight true
              0 GET / as GET /
              1 Fixed(1s)
              2 POST /login as POST /login
              3 GET /{{ token }} as token
        "#]],
    );
}

#[test]
fn bodies() {
    check_requests(
        r#"
variables: { size: 20, map: { a: [ 1, x ] }, who: "u-{{ size }}" }
scenarios:
  s:
    tags: [ all ]
    steps:
      - post: /json?q={{ who }}
        name: json
        tags: [ one, all ]
        json: { n: "{{ size }}", text: "{{ size }} of", s: "{{ size | string }}", all: "{{ map }}", random: "{{ uuid }}" }
      - put: /form
        form: { "a b": "{{ who }}&", list: [ 1, "{{ uuid }}" ] }
      - patch: /text
        body: "<{{ iteration }}/>"
        headers: { Content-Type: text/xml, x-id: "{{ uuid }}" }
      - post: /file
        file: ./up//a.bin
      - post: /parts
        multipart: { "a\"b": "{{ who }}", f: { file: up/a.png, type: image/png }, g: [ x, { text: y, type: text/csv, filename: y.csv } ] }
"#,
        expect![[r#"
            POST /json?q=u-20 ["one", "all"]
              content-type: application/json
              {"n":20,"text":"20 of","s":"20","all":{"a":[1,"x"]},"random":{{ uuid }}}
            PUT /form ["all"]
              content-type: application/x-www-form-urlencoded
              a%20b=u-20%26&list=1&list={{ uuid }}
            PATCH /text ["all"]
              Content-Type: text/xml
              x-id: {{ uuid }}
              <{{ iteration }}/>
            POST /file ["all"]
              content-type: application/octet-stream
              file up/a.bin
            POST /parts ["all"]
              content-type: multipart/form-data; boundary=groundswell-7d6f1c3b9a5e4f20
              part Content-Disposition: form-data; name="a%22b" ⏎  ⏎ u-20
              part Content-Disposition: form-data; name="f"; filename="a.png" ⏎ Content-Type: image/png ⏎  ⏎ file up/a.png
              part Content-Disposition: form-data; name="g" ⏎  ⏎ x
              part Content-Disposition: form-data; name="g"; filename="y.csv" ⏎ Content-Type: text/csv ⏎  ⏎ y
        "#]],
    );
}

#[test]
fn credentials() {
    check_requests(
        r#"
auth: { basic: { user: admin, password: "{{ secret.PASSWORD }}" } }
scenarios:
  a:
    steps:
      - get: /plain
      - get: /own
        headers: { Authorization: mine }
  b:
    auth: { bearer: "{{ token }}" }
    steps:
      - post: /login
        save: { token: $.token }
      - get: /with
      - get: /other
        auth: { bearer: fixed }
"#,
        expect![[r#"
            GET /plain []
              authorization: Basic {{ user:password | base64 }}
            GET /own []
              Authorization: mine
            POST /login []
              token = json $.token, a list false
            GET /with []
              authorization: Bearer {{ token }}
            GET /other []
              authorization: Bearer fixed
        "#]],
    );
}

#[test]
fn answers() {
    check_requests(
        r#"
scenarios:
  s:
    steps:
      - get: /
        save:
          a: $.a
          all: "$..id"
          b: "header:location"
          c: "regex: id=([0-9]+)"
          d: "css:a.next@href"
          e: body
          f: status
          g: { json: $.g, default: { x: 1 } }
          h: { header: link, regex: "<(.*?)>", default: null }
        expect:
          status: [ 200, 4xx, 300..302 ]
          headers: { a: text, b: { contains: "{{ uuid }}" }, c: { matches: "^x" }, d: { exists: false } }
          body_contains: [ one, two ]
          body_matches: "a+"
          json: { $.n: 3, $.l: [ 1, null ], $.m: { k: v }, $.e: { exists: true }, $.r: { matches: x } }
          size: ..1KiB
          under: 2s
        max_body: 1MiB
"#,
        expect![[r#"
            GET / []
              a = json $.a, a list false
              all = json $..id, a list true
              b = Header("location", None)
              c = Regex(Pattern(Regex("id=([0-9]+)")))
              d = css a.next@href
              e = Body
              f = Status
              g = json $.g, a list false or {"x":1}
              h = Header("link", Some(Pattern(Regex("<(.*?)>")))) or 
              [200..=200, 400..=499, 300..=302]
              header a text (header)
              header b contains {{ uuid }} (header)
              header c matches ^x (header)
              header d exists false (header)
              body_contains "one" (body)
              body_contains "two" (body)
              body_matches a+ (body)
              json $.n 3 (json)
              json $.l […] (json)
              json $.m k v (json)
              json $.e exists true (json)
              json $.r matches x (json)
              size ..1KiB (size)
              under 2s (time)
        "#]],
    );
}

#[test]
fn variables_stand_where_the_run_is_planned() {
    let text = "version: 1\nname: \"{{ name }}-x\"\ntarget: \"http://{{ host }}\"\nseed: \"{{ seed }}\"\n\
                variables: { name: n, host: 10.0.0.1, seed: 9, rate: 30/s, span: 2m, limit: 200 }\n\
                load: { model: open, stages: [ { at: \"{{ rate }}\", for: \"{{ span }}\" } ] }\n\
                scenarios: { s: { steps: [ get: / ] } }\nthresholds: [ \"p99 < {{ limit }}ms\" ]\n";
    let plan = sound(plan::parse("p.yaml", text));
    let targets: Vec<String> = plan.targets.iter().map(ToString::to_string).collect();
    expect![[r#"
        n-x ["http://10.0.0.1"] 9 Open { arrivals: Uniform, stages: [Stage { name: "stage 1", from: Rate { millionths: 30000000, seconds: 1 }, to: Rate { millionths: 30000000, seconds: 1 }, duration: 120s, warmup: false }], connections: Connections { start: 16, max: 10000, per: Pool, requests: None, lifetime: None, streams: None }, max_in_flight: None, max_wait: None } [Threshold { expression: "p99 < 200ms", measure: Time(ResponseTime, Percentile(990000)), scope: Run, scope_name: "run", operator: Below, limit: 200.0, hold_s: None, abort: false, allow_no_data: false }]
    "#]].assert_eq(&format!(
        "{} {targets:?} {} {:?} {:?}\n",
        plan.name, plan.seed, plan.workloads[0].load, plan.thresholds
    ));
}

#[test]
fn rounds_are_a_number_or_an_expression() {
    check_flow(
        "variables: { n: 3 }\nscenarios:\n  s:\n    steps:\n      - { get: /, save: { m: $.m } }\n      - { repeat: 2, steps: [ get: / ] }\n      - { repeat: n, steps: [ get: / ] }\n      - { repeat: 2 * m + n, steps: [ get: / ] }\n      - { repeat: \"{{ m }}\", steps: [ get: / ] }\n",
        expect![[r#"
            s: saves ["m"], straight false
              0 GET / as GET /
              1 loop 0: 2 times
              2 head 0 → 5
              3 GET / as GET /
              4 again 0 → 2
              5 loop 0: n times
              6 head 0 → 9
              7 GET / as GET /
              8 again 0 → 6
              9 loop 0: 2 * m + n times
              10 head 0 → 13
              11 GET / as GET /
              12 again 0 → 10
              13 loop 0: m times
              14 head 0 → 17
              15 GET / as GET /
              16 again 0 → 14
        "#]],
    );
}

#[test]
fn keys_may_have_what_is_known_before_the_run() {
    check_requests(
        "variables: { v: a b }\nscenarios:\n  s:\n    steps:\n      - post: /\n        query: { \"{{ v }}\": 1, \"{{ '{{x}}' }}\": [ 2, 3 ] }\n        headers: { \"x-{{ v | length }}\": 1 }\n        json: { \"{{ '{{key}}' }}\": { \"{{ v }}\\\"\": 0x1F } }\n      - post: /\n        form: { \"{{ v }}\": 1 }\n      - post: /\n        multipart: { \"{{ v }}\": 1 }\n",
        expect![[r#"
            POST /?a%20b=1&%7B%7Bx%7D%7D=2&%7B%7Bx%7D%7D=3 []
              x-3: 1
              content-type: application/json
              {"{{key}}":{"a b\"":31}}
            POST / []
              content-type: application/x-www-form-urlencoded
              a%20b=1
            POST / []
              content-type: multipart/form-data; boundary=groundswell-7d6f1c3b9a5e4f20
              part Content-Disposition: form-data; name="a b" ⏎  ⏎ 1
        "#]],
    );
}
