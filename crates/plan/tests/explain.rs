//! Every code of a fault has its section, and every section its code.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All sources in a folder and those below it.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![fs::read_to_string(path).unwrap()],
    };
    entries.flat_map(read).collect()
}

/// The codes in the sources: what is said to be wrong, and the second of three words that say what is not supported yet.
fn used() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    // Faults of data files are explained on the same page.
    let folders = ["src", "../data/src"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    for source in folders.iter().flat_map(|folder| sources(folder)) {
        for start in
            ["Wrong::new(", "Wrong::unsupported(", "TableFault::new(", "Slip::coded(", "Self::coded("]
        {
            let calls = source.split(start).skip(1).map(|rest| rest.trim_start().strip_prefix('"'));
            codes.extend(calls.flatten().map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        let lists =
            source.split("Unsupported; ").skip(1).filter_map(|rest| rest.split_once('=')?.1.split_once("];"));
        for (list, _) in lists {
            codes.extend(
                list.split("(\"").skip(1).filter_map(|words| Some(words.split('"').nth(2)?.to_owned())),
            );
        }
    }
    codes
}

#[test]
fn every_code_is_explained_and_nothing_else() {
    let explained: Vec<&str> = plan::codes().collect();
    let used = used();
    assert!(used.len() > 40, "{used:?}");
    assert_eq!(explained, used.iter().map(String::as_str).collect::<Vec<_>>());
    for code in explained {
        assert!(plan::explain(code).is_some_and(|text| text.len() > 20), "{code}");
    }
    assert_eq!(plan::explain("no_such_code"), None);
}
