//! What goes in comes out, and what was never a batch is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use events::{Builder, Columns, Full, MAX_ROWS, Row};

fn rows(random: &mut fastrand::Rng, count: usize) -> Vec<Row<'static>> {
    const ENDPOINTS: [&str; 4] = ["GET /", "", "Größe ≤ 3", "a name that is somewhat longer than the others"];
    let row = |at: usize| Row {
        timestamp_us: 1_700_000_000_000_000 + i64::try_from(at).unwrap() * 37,
        endpoint: ENDPOINTS[at % 4],
        stage: random.bool().then_some("hold"),
        status_code: random.bool().then_some(503),
        response_time_us: i64::from(random.u32(..)),
        service_time_us: random.bool().then(|| i64::from(random.u16(..))),
        send_lag_us: random.bool().then_some(17),
        connection_wait_us: random.bool().then_some(0),
        bytes_in: random.bool().then(|| u64::from(random.u16(..))),
        bytes_out: random.bool().then_some(180),
        error: random.bool().then_some("status: 503"),
    };
    (0..count).map(row).collect()
}

fn encoded(rows: &[Row<'_>], builder: &mut Builder) -> Vec<u8> {
    rows.iter().for_each(|row| builder.push(row).unwrap());
    events::encode(&builder.finish()).unwrap()
}

#[test]
fn rows_come_back_as_they_were() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut builder = Builder::new();
    for count in [1, 2, 500, MAX_ROWS, 0, 3] {
        let rows = rows(&mut random, count);
        let decoded = events::decode(encoded(&rows, &mut builder)).unwrap();
        let columns = Columns::of(&decoded).unwrap();
        assert_eq!((0..count).map(|at| columns.row(at)).collect::<Vec<_>>(), rows, "seed {seed}");
    }
}

#[test]
fn a_batch_has_an_end() {
    let mut builder = Builder::new();
    let row = Row { endpoint: "a", ..Row::default() };
    (0..MAX_ROWS).for_each(|_| builder.push(&row).unwrap());
    assert_eq!(builder.push(&row), Err(Full));
    assert_eq!(builder.finish().num_rows(), MAX_ROWS);
    assert!(builder.is_empty());
}

#[test]
fn more_bytes_than_a_column_holds_are_the_most_it_holds() {
    let row = Row { endpoint: "a", bytes_in: Some(u64::MAX), ..Row::default() };
    let decoded = events::decode(encoded(&[row], &mut Builder::new())).unwrap();
    assert_eq!(Columns::of(&decoded).unwrap().row(0).bytes_in, Some(2_147_483_647));
}

#[test]
fn what_a_store_cannot_hold_is_refused() {
    let refused = |row: Row<'_>| events::decode(encoded(&[row], &mut Builder::new())).is_err();
    let row = Row { endpoint: "a", ..Row::default() };
    assert!(!refused(row));
    assert!(refused(Row { endpoint: "a\0b", ..row }));
    assert!(refused(Row { error: Some("\0"), ..row }));
    assert!(refused(Row { stage: Some("\0"), ..row }));
    assert!(!refused(Row { timestamp_us: 253_402_300_799_999_999, ..row }));
    assert!(refused(Row { timestamp_us: 253_402_300_800_000_000, ..row }));
    assert!(refused(Row { timestamp_us: -1, ..row }));
}

#[test]
fn whatever_the_bytes_decoding_returns() {
    std::panic::set_hook(Box::new(|_| {}));
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let whole = encoded(&rows(&mut random, 40), &mut Builder::new());
    let refused = |bytes: &[u8]| events::decode(bytes.to_vec()).is_err();
    (0..whole.len() - 8).for_each(|end| assert!(refused(&whole[..end]), "{end} of {}", whole.len()));
    assert!(refused(b""));
    assert!(refused(&[whole.clone(), whole.clone()].concat()));
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = if random.bool() {
                random.u8(..)
            } else {
                *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap()
            };
        }
        if let Ok(rows) = events::decode(bytes) {
            let columns = Columns::of(&rows).unwrap();
            (0..rows.num_rows()).for_each(|row| assert_eq!(columns.row(row), columns.row(row)));
        }
    }
}
