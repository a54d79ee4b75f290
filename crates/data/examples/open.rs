//! How long a table of a million rows takes to open, and how much memory: `cargo run --release -p data --example open`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::fmt::Write as _;
use std::sync::Arc;

use data::{Buffer, Table};
use plan::DataFormat;

const ROWS: u64 = 1_000_000;

/// The largest that the process has been, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn file(format: DataFormat) -> String {
    let mut file = String::with_capacity(60 << 20);
    if format == DataFormat::Csv {
        file.push_str("id,name,mail\n");
    }
    for row in 0..ROWS {
        match format {
            DataFormat::JsonLines => {
                writeln!(file, "{{\"id\":{row},\"name\":\"u{row}\",\"mail\":\"u{row}@x.example\"}}")
            }
            DataFormat::Csv | DataFormat::Tsv => writeln!(file, "{row},u{row},u{row}@x.example"),
        }
        .unwrap();
    }
    file
}

fn main() {
    // In a process of its own each, since the peak is the process's: with the argument `jsonl` the other format.
    let is_json = std::env::args().any(|argument| argument == "jsonl");
    let format = if is_json { DataFormat::JsonLines } else { DataFormat::Csv };
    let path = std::env::temp_dir().join(format!("swell-open-{}", std::process::id()));
    std::fs::write(&path, file(format)).unwrap();
    // What writing the file needed is given back before anything is measured.
    let bytes: Arc<[u8]> = std::fs::read(&path).unwrap().into();
    std::fs::remove_file(&path).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = peak_kib();
    let started = clock::now();
    let table = Table::open(bytes.clone(), format).unwrap();
    let opened = clock::now().since(started);
    let peak = peak_kib();
    let (mut buffer, mut read) = (Buffer::default(), 0);
    let started = clock::now();
    for row in 0..table.len() {
        read += table.cell(row, 2, &mut buffer).unwrap().as_str().len();
    }
    let each = clock::now().since(started) / u32::try_from(table.len()).unwrap();
    println!("{} rows, {:.1} MB: opened in {opened:?}", table.len(), bytes.len() as f64 / 1e6);
    println!(
        "peak of the process {:.1} MiB, of which opening {:.1} MiB",
        peak as f64 / 1024.0,
        (peak - before) as f64 / 1024.0
    );
    println!("last cell of a row read in {each:?} ({read} bytes in all)");
}
