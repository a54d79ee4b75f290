//! No file whatever makes the reader fall over, and what it takes is read as others read it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use data::{Buffer, Cell, Table};
use plan::DataFormat;

const FILES: [(&str, DataFormat); 3] = [
    ("\u{feff}name,mail,\"no,te\"\r\nada,a@x,\"x\"\"y\"\r\n\"g\nh\",,ü\n\n1,2,3", DataFormat::Csv),
    ("name\tmail\nada\t\"a\tb\"\n\"\"\tx\n", DataFormat::Tsv),
    (
        "{\"a\": 1, \"b\": \"x\\u00fc\\n\"}\n{\"b\": [1, {\"c\": \"]\"}], \"a\": null}\n\n{\"a\": \"\", \"b\": -1e5}",
        DataFormat::JsonLines,
    ),
];

/// Bytes that mean something to one of the formats.
const TELLING: &[u8] = b"\"\",,\t\n\r{}[]:\\u0 \xFF\xC3\x00ax1";

fn mutated(rng: &mut fastrand::Rng, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(0..=file.len());
        match rng.u8(0..4) {
            0 => file.insert(at, TELLING[rng.usize(0..TELLING.len())]),
            1 if at < file.len() => drop(file.remove(at)),
            2 if at < file.len() => file[at] = TELLING[rng.usize(0..TELLING.len())],
            _ => file.truncate(at),
        }
    }
    file
}

fn cells(table: &Table) -> Vec<Vec<String>> {
    let mut buffer = Buffer::default();
    let rows = (0..table.len()).map(|row| {
        let columns = 0..table.columns().len();
        columns.map(|column| table.cell(row, column, &mut buffer).unwrap().as_str().to_owned()).collect()
    });
    rows.collect()
}

fn cells_of_csv(file: &[u8], format: DataFormat) -> Vec<Vec<String>> {
    let delimiter = if format == DataFormat::Tsv { b'\t' } else { b',' };
    let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(file);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Holds what the table says of a file of JSON lines against `serde_json`.
fn compare_with_serde(table: &Table, file: &[u8]) {
    let text = std::str::from_utf8(file).unwrap();
    let lines = text.lines().map(|line| line.trim()).filter(|line| !line.is_empty());
    let mut buffer = Buffer::default();
    for (row, line) in lines.enumerate() {
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert_eq!(line.len(), table.columns().len());
        for (column, name) in table.columns().iter().enumerate() {
            let ours = match table.cell(row, column, &mut buffer).unwrap() {
                Cell::Text(text) => serde_json::Value::from(text),
                Cell::Json(json) => serde_json::from_str(json).unwrap(),
            };
            assert_eq!(ours, line[name]);
        }
    }
}

#[test]
fn mutated_files_are_read_alike_or_refused() {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut taken = 0;
    for round in 0..30_000 {
        let (file, format) = FILES[round % FILES.len()];
        let file = mutated(&mut rng, file.as_bytes());
        eprintln!("seed {seed}, round {round}: {:?}", String::from_utf8_lossy(&file));
        let Ok(table) = Table::open(file.as_slice().into(), format) else { continue };
        taken += 1;
        match format {
            DataFormat::JsonLines => compare_with_serde(&table, &file),
            DataFormat::Csv | DataFormat::Tsv => assert_eq!(cells(&table), cells_of_csv(&file, format)),
        }
    }
    assert!(taken > 2_500, "{taken}");
}
