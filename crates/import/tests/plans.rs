//! Each sample as a plan: the whole text beside it in `snapshots/`, and read again by the parser.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use expect_test::expect_file;
use support::{CASES, faults};

#[test]
fn samples_become_the_plans_beside_them() {
    for case in CASES {
        let imported =
            case.import_text(&case.text()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let path = format!("{}/tests/snapshots/{}.plan.yaml", env!("CARGO_MANIFEST_DIR"), case.name);
        expect_file![path].assert_eq(&imported.plan);
    }
}

#[test]
fn plans_are_read_again() {
    let mut wrong = Vec::new();
    for case in CASES {
        let imported = case.import_text(&case.text()).unwrap();
        wrong.extend(faults(&imported.plan).into_iter().map(|fault| format!("{}: {fault}", case.name)));
        for note in &imported.notes {
            assert!(
                imported.plan.contains(note.as_str()),
                "{}: a note is not in the plan: {note}",
                case.name
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_secret_of_a_sample_is_in_a_plan() {
    let secrets = [
        "correct horse",
        "s3cr3tcookie",
        "eyJzdWIiOiI0MiJ9",
        "hunter2hunter2",
        "live_51Hq8Z0aa77",
        "eyJhbGciOiJIUzI1NiJ9",
        "sid=abc123",
        "pa ss",
        "secret1",
        "open sesame",
        "pk_live_77aa88bb",
        "secret12",
        "abcdefgh",
        "live_0123456789",
        "session=abc",
        "90817263",
        "tok_55667788",
        "AKIA0000EXAMPLE1",
        "wJalrXUt-nEMI",
    ];
    for case in CASES {
        let plan = case.import_text(&case.text()).unwrap().plan;
        let found: Vec<&&str> = secrets.iter().filter(|secret| plan.contains(**secret)).collect();
        assert!(found.is_empty(), "{}: {found:?} in\n{plan}", case.name);
    }
}
