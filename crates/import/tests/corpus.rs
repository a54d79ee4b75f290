//! A short run of the fuzzer's seeds, as they are and mutated, without the fuzzer: what must hold of any bytes holds of these.
//!
//! `ROUNDS` and `SEED` in the environment make it longer, and another one.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a test that fails says where"
)]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A target of the fuzzer: the folder of its seeds, and what is run on each.
type Target = (&'static str, fn(&[u8]));

#[test]
fn what_holds_of_any_bytes_holds_of_the_seeds() {
    let targets: [Target; 5] = [
        ("plan", fuzz::plan),
        ("expression", fuzz::expression),
        ("table", fuzz::table),
        ("import", fuzz::import),
        ("answer", fuzz::answer),
    ];
    let (seed, rounds) = (number("SEED", 20_261_129), number("ROUNDS", 400));
    println!("SEED={seed} ROUNDS={rounds}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, target) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            let bytes = fs::read(file).unwrap();
            target(&bytes);
            for _ in 0..rounds {
                let mut bytes = bytes.clone();
                for _ in 0..random.usize(1..6) {
                    let at = random.usize(0..=bytes.len());
                    let to = bytes.len().min(at + random.usize(0..20));
                    match random.u8(0..4) {
                        0 => drop(bytes.drain(at..to)),
                        1 => bytes.extend_from_within(at..to),
                        2 => bytes.insert(at, random.u8(..)),
                        _ => bytes[at..to].fill(*b"{}[]\"': \n".get(random.usize(0..9)).unwrap()),
                    }
                }
                target(&bytes);
            }
        }
    }
}
