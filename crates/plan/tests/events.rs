//! What is said of the choice of raw events, and what is made of it.

use expect_test::expect;
use plan::{Events, Plan};

fn with(top: &str) -> Result<Plan, Vec<plan::Diagnostic>> {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {{ model: avalanche, requests_per_driver: 1 }}\n\
         scenarios: {{ s: {{ steps: [ get: / ] }} }}\n{top}"
    );
    plan::parse("p.yaml", &text)
}

#[test]
fn events() {
    let of = |top: &str| with(top).unwrap_or_else(|faults| panic!("{faults:#?}")).events;
    assert_eq!(of(""), Events::Errors);
    assert_eq!([of("events: all\n"), of("events: none\n")], [Events::All, Events::None]);
    let Events::Sample(chance) = of("events: sample 1%\n") else { panic!("no sample") };
    assert_eq!(chance.threshold(), u64::MAX / 100 - 1);
    assert_eq!(of("events: sample 1%\n"), of("events: \"sample 1.0000 %\"\n"));
    for (value, expect) in [
        (
            "everything",
            expect![[r#"
                p.yaml:6:9: events cannot be "everything" [unknown_value]
                  known here: all, errors, sample 1%, none
                    | everything
            "#]],
        ),
        (
            "error",
            expect![[r#"
                p.yaml:6:9: events cannot be "error" [unknown_value]
                  did you mean "errors"?
                    | error
            "#]],
        ),
        (
            "sample",
            expect![[r#"
                p.yaml:6:9: a sample is a percentage of the requests, with four decimals at most [bad_sample]
                  write it like sample 1% or sample 0.05%
                    | sample
            "#]],
        ),
        (
            "sample 0.01",
            expect![[r#"
                p.yaml:6:9: a sample is a percentage of the requests, with four decimals at most [bad_sample]
                  write it like sample 1% or sample 0.05%
                    | sample 0.01
            "#]],
        ),
        (
            "sample 0%",
            expect![[r#"
                p.yaml:6:9: a sample must be more than zero [zero]
                  write `events: none`
                    | sample 0%
            "#]],
        ),
        (
            "sample -1%",
            expect![[r#"
                p.yaml:6:9: a sample cannot be negative [negative]
                    | sample -1%
            "#]],
        ),
        (
            "sample 101%",
            expect![[r#"
                p.yaml:6:9: a sample can be at most 100% [absurd]
                  write `events: all`
                    | sample 101%
            "#]],
        ),
        (
            "[all]",
            expect![[r#"
                p.yaml:6:9: events must be text [wrong_kind]
                    | [all]
            "#]],
        ),
    ] {
        let faults = with(&format!("events: {value}\n")).expect_err("a fault");
        let said: String = faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect();
        expect.assert_eq(&said);
    }
}
