//! The accounts, as tables: what was measured and what is known of lost drivers, and what is said of it.

mod seconds;

use expect_test::{Expect, expect};
use metrics::{Accounting, EventCounts, LostDriver, RawEvents, Totals};
use seconds::{good, late, run};

fn account(accounting: &Accounting, expected: Expect) {
    expected.assert_eq(&format!("{:?}\n{:?}\n{accounting}\n", accounting.iterations, accounting.requests));
}

#[test]
fn the_accounts_of_a_clean_run_balance() {
    account(
        &Accounting::of(&run(10, 0, late), &[], 0),
        expect![[r#"
        Iterations { due: 1000, started: 1000, missed: 0, lost: 0, overlap: 0 }
        Requests { sent: 1000, succeeded: 1000, failed: 0, cancelled: 0, unknown: 0 }
        balanced
    "#]],
    );
}

#[test]
fn what_a_lost_driver_took_with_it_is_lost_or_unknown() {
    let mut merged = run(10, 0, late);
    let mut last = good(0);
    // Three waited for a connection, and four were in flight.
    (last.stages[0].due, last.steps[0].sent) = (103, 104);
    merged.add("d2", &last);
    let lost = LostDriver {
        node_id: "d2".to_owned(),
        replaced: true,
        said_totals: false,
        requests_sent: 140,
        due_unreported: 60,
    };
    account(
        &Accounting::of(&merged, &[lost], 2),
        expect![[r#"
        Iterations { due: 1163, started: 1100, missed: 0, lost: 63, overlap: 2 }
        Requests { sent: 1140, succeeded: 1100, failed: 0, cancelled: 0, unknown: 40 }
        balanced
    "#]],
    );
    let silent = LostDriver {
        node_id: "d3".to_owned(),
        replaced: false,
        said_totals: false,
        requests_sent: 7,
        due_unreported: 9,
    };
    account(
        &Accounting::of(&run(1, 0, late), &[silent], 0),
        expect![[r#"
        Iterations { due: 109, started: 100, missed: 0, lost: 9, overlap: 0 }
        Requests { sent: 107, succeeded: 100, failed: 0, cancelled: 0, unknown: 7 }
        balanced
    "#]],
    );
}

#[test]
fn accounts_that_do_not_balance_say_where() {
    let mut merged = run(10, 1, |window| {
        window.steps[0].sent += 1;
        window.stages[0].due += 2;
    });
    merged.driver("d1").finish(&Totals { bytes_in: 5, ..Totals::default() });
    account(
        &Accounting::of(&merged, &[], 0),
        expect![[r#"
        Iterations { due: 1002, started: 1000, missed: 0, lost: 0, overlap: 0 }
        Requests { sent: 1001, succeeded: 1000, failed: 0, cancelled: 0, unknown: 0 }
        not balanced: 1002 iterations due ≠ 1000 started + 0 missed + 0 lost; 1001 requests sent ≠ 1000 succeeded + 0 failed + 0 cancelled + 0 unknown; d1 says 5 bytes in, and 0 were measured
    "#]],
    );
}

#[test]
fn raw_events_are_compared_once_all_have_said_theirs() {
    let mut merged = run(10, 0, late);
    merged.add("d2", &good(0));
    let mut say = |node_id: &str, events| {
        let totals = merged.driver(node_id).totals();
        merged.driver(node_id).finish(&Totals { events, ..totals });
        Accounting::of(&merged, &[], 0).events
    };
    let said = |produced, dropped| Some(EventCounts { produced, dropped });
    assert_eq!(say("d2", said(70, 4)), RawEvents::default(), "d1 said its totals without a word of events");
    // Another incarnation of d1.
    assert_eq!(say("d1", said(100, 1)), RawEvents { produced: Some(170), stored: None, dropped: Some(5) });
    let mut accounting = Accounting::of(&run(10, 0, late), &[], 0);
    accounting.events = RawEvents { produced: Some(170), stored: Some(165), dropped: Some(5) };
    assert!(accounting.balanced(), "{accounting}");
    accounting.events.stored = Some(164);
    assert_eq!(accounting.imbalances(), ["170 raw events produced ≠ 164 stored + 5 dropped"]);
    accounting.events.dropped = None;
    assert!(accounting.balanced(), "{accounting}");
}
