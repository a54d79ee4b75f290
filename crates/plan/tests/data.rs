//! What is said of sources of data: misspelt, contradictory, out of place. And what is made of them when they are right.

use expect_test::{Expect, expect};
use plan::{FileTrouble, Plan};

const OPEN: &str = "{ model: open, stages: [ { at: 1/s, for: 1s } ] }";
const CLOSED: &str = "{ model: closed, stages: [ { users: 1, for: 1s } ] }";

fn parse(load: &str, data: &str) -> Result<Plan, Vec<plan::Diagnostic>> {
    let text = format!(
        "version: 1\nname: p\ntarget: http://h\nload: {load}\nscenarios: {{ s: {{ steps: [ get: / ] }} }}\ndata:\n{data}"
    );
    plan::parse("p.yaml", &text)
}

fn check_with(load: &str, data: &str, expect: Expect) {
    let said = match parse(load, data) {
        Ok(plan) => plan.data.iter().map(|source| format!("{source:?}\n")).collect::<String>(),
        Err(faults) => faults.iter().map(|fault| format!("{fault}\n    | {}\n", fault.text)).collect(),
    };
    expect.assert_eq(&said);
}

fn check(data: &str, expect: Expect) {
    check_with(OPEN, data, expect);
}

#[test]
fn sources() {
    check(
        "  users: { file: users.csv, pick: once }\n  events: { file: ./sub//events.NDJSON }\n  \
         other: { file: x.txt, format: tsv, pick: in_turn, when_exhausted: fail }\n  \
         ids: { rows: 100000, columns: { id: 7, mail: \"u@x\" }, pick: random }\n",
        expect![[r#"
            DataSource { name: "users", kind: File { path: "users.csv", format: Csv }, pick: Once, when_exhausted: Stop }
            DataSource { name: "events", kind: File { path: "sub/events.NDJSON", format: JsonLines }, pick: InTurn, when_exhausted: Recycle }
            DataSource { name: "other", kind: File { path: "x.txt", format: Tsv }, pick: InTurn, when_exhausted: Fail }
            DataSource { name: "ids", kind: Generated { rows: 100000, columns: [("id", Template { pieces: [Text("7")] }), ("mail", Template { pieces: [Text("u@x")] })] }, pick: Random, when_exhausted: Recycle }
        "#]],
    );
    check_with(
        CLOSED,
        "  u: { file: u.csv, pick: per_user }\n",
        expect![[r#"
        DataSource { name: "u", kind: File { path: "u.csv", format: Csv }, pick: PerUser, when_exhausted: Fail }
    "#]],
    );
}

#[test]
fn names() {
    check(
        "  Users: { file: a.csv }\n  1st: { file: a.csv }\n  my users: { file: a.csv }\n  env: { file: a.csv }\n  \
         \"\": { file: a.csv }\n  user: { rows: 1, columns: { A: 1, a b: 2, ok_1: 3 } }\n",
        expect![[r#"
            p.yaml:7:3: a source's name stands in expressions, and "Users" cannot [bad_name]
              use a to z, 0 to 9 and _, with a letter or _ first
                | Users
            p.yaml:8:3: a source's name stands in expressions, and "1st" cannot [bad_name]
              use a to z, 0 to 9 and _, with a letter or _ first
                | 1st
            p.yaml:9:3: a source's name stands in expressions, and "my users" cannot [bad_name]
              use a to z, 0 to 9 and _, with a letter or _ first
                | my users
            p.yaml:10:3: "env" means something else in expressions [reserved_name]
              give the source another name
                | env
            p.yaml:11:3: a source's name is empty [missing]
                | 
            p.yaml:12:3: "user" means something else in expressions [reserved_name]
              give the source another name
                | user
            p.yaml:12:31: a column's name stands in expressions, and "A" cannot [bad_name]
              use a to z, 0 to 9 and _, with a letter or _ first
                | A
            p.yaml:12:37: a column's name stands in expressions, and "a b" cannot [bad_name]
              use a to z, 0 to 9 and _, with a letter or _ first
                | a b
        "#]],
    );
}

#[test]
fn paths() {
    check(
        "  a: { file: /etc/passwd.csv }\n  b: { file: ../x.csv }\n  c: { file: a/../../x.csv }\n  d: { file: ~/x.csv }\n  \
         e: { file: 'sub\\x.csv' }\n  f: { file: 'C:/x.csv' }\n  g: { file: \"\" }\n  h: { file: ./ }\n  i: { file: x.csv/ }\n  \
         j: { file: [x.csv] }\n  k: { file: \"a\\nb.csv\" }\n  l: { file: a..b.csv }\n",
        expect![[r#"
            p.yaml:7:14: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | /etc/passwd.csv
            p.yaml:8:14: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | ../x.csv
            p.yaml:9:14: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | a/../../x.csv
            p.yaml:10:14: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | ~/x.csv
            p.yaml:11:14: the file has a backslash [bad_file]
              write sub/x.csv
                | sub\x.csv
            p.yaml:12:14: the file is not below the plan's folder [outside_folder]
              put the file beside the plan and write its path from there
                | C:/x.csv
            p.yaml:13:14: the file must be the name of a file [bad_file]
                | 
            p.yaml:14:14: the file is a folder [bad_file]
                | ./
            p.yaml:15:14: the file is a folder [bad_file]
                | x.csv/
            p.yaml:16:14: the file must be text [wrong_kind]
                | [x.csv] }
            p.yaml:17:14: the file must be the name of a file [bad_file]
                | a
        "#]],
    );
}

#[test]
fn kinds() {
    check(
        "  a: { pick: once }\n  b: { file: x.csv, rows: 3, columns: { a: 1 } }\n  c: { rows: 3 }\n  d: { columns: { a: 1 } }\n  \
         e: { rows: 0, columns: {} }\n  f: { rows: 1, format: csv, columns: { a: [1] } }\n  g: { file: x.dat }\n  \
         h: { file: x.csv, format: xml }\n  i: { file: noending }\n  j: x.csv\n  k: { file: x.csv, fromat: csv }\n  \
         l: { rows: 1000000000001, columns: { a: ~ } }\n",
        expect![[r#"
            p.yaml:7:6: a source of data needs "file", or "rows" and "columns" [missing]
                | { pick: once }
            p.yaml:8:21: rows come from a file, or are made from templates [not_together]
              leave out file, or rows and columns
                | rows
            p.yaml:8:30: rows come from a file, or are made from templates [not_together]
              leave out file, or rows and columns
                | columns
            p.yaml:9:6: a source of data needs "columns" [missing]
                | { rows: 3 }
            p.yaml:10:6: a source of data needs "rows" [missing]
                | { columns: { a: 1 } }
            p.yaml:11:14: the number of rows must be at least 1 [zero]
                | 0
            p.yaml:11:26: generated rows have at least one column [missing]
                | {} }
            p.yaml:12:17: only a file has a format [without_effect]
              leave it out
                | format
            p.yaml:12:44: a column must be text [wrong_kind]
                | [1] } }
            p.yaml:13:14: the name x.dat does not say how it is written [unknown_format]
              add `format: csv`, `tsv` or `jsonl`
                | x.dat
            p.yaml:14:29: the format cannot be "xml" [unknown_value]
              known here: csv, tsv, jsonl
                | xml
            p.yaml:15:14: the name noending does not say how it is written [unknown_format]
              add `format: csv`, `tsv` or `jsonl`
                | noending
            p.yaml:16:6: a source of data must be a map [wrong_kind]
                | x.csv
            p.yaml:17:21: a source of data has no key "fromat" [unknown_key]
              did you mean "format"?
                | fromat
            p.yaml:18:14: the number of rows can be at most 1000000000000 [absurd]
                | 1000000000001
            p.yaml:18:43: a column must be text [wrong_kind]
                | ~
        "#]],
    );
    check(
        "  {}\n",
        expect![[r#"
        p.yaml:7:3: data names at least one source [missing]
            | {}
    "#]],
    );
    check(
        "  \n",
        expect![[r#"
        p.yaml:6:1: "data" has no value [missing]
            | data
    "#]],
    );
    check(
        "  [x]\n",
        expect![[r#"
        p.yaml:7:3: data must be a map [wrong_kind]
            | [x]
    "#]],
    );
}

#[test]
fn picks() {
    check(
        "  a: { file: x.csv, pick: twice }\n  b: { file: x.csv, pick: once, when_exhausted: recycle }\n  \
         c: { file: x.csv, pick: random, when_exhausted: stop }\n  d: { file: x.csv, when_exhausted: halt }\n  \
         e: { file: x.csv, pick: per_user }\n  f: { file: x.csv, pick: ones, when_exhausted: fial }\n",
        expect![[r#"
            p.yaml:7:27: pick cannot be "twice" [unknown_value]
              known here: once, in_turn, random, per_user
                | twice
            p.yaml:8:49: a row that is used once is not used again [not_together]
              write `pick: in_turn`
                | recycle
            p.yaml:9:51: rows picked at random never run out [without_effect]
              leave it out
                | stop
            p.yaml:10:37: when_exhausted cannot be "halt" [unknown_value]
              known here: stop, recycle, fail
                | halt
            p.yaml:11:27: only a closed load has users [not_for_this_model]
              in_turn gives each iteration the next row
                | per_user
            p.yaml:12:27: pick cannot be "ones" [unknown_value]
              known here: once, in_turn, random, per_user
                | ones
            p.yaml:12:49: when_exhausted cannot be "fial" [unknown_value]
              did you mean "fail"?
                | fial
        "#]],
    );
}

#[test]
fn more_sources_than_anybody_needs() {
    let many: String = (0..101).map(|i| format!("  s{i}: {{ file: x.csv }}\n")).collect();
    check(
        &many,
        expect![[r#"
        p.yaml:7:3: a plan has at most 100 sources of data [absurd]
            | s0: { file: x.csv }
    "#]],
    );
}

#[test]
fn files_are_listed_once_with_their_places() {
    let plan = parse(OPEN, "  a: { file: x.csv }\n  b: { file: y/z.csv }\n  c: { file: ./x.csv }\n").unwrap();
    let files = plan.files();
    let files: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.line, file.column)).collect();
    assert_eq!(files, [("x.csv", 7, 14), ("y/z.csv", 8, 14)]);
}

#[test]
fn files_that_cannot_be_sent() {
    let plan = parse(OPEN, "  a: { file: x.csv }\n").unwrap();
    let troubles = [
        FileTrouble::Missing,
        FileTrouble::Unreadable("it is a folder".to_owned()),
        FileTrouble::TooLarge(2 << 30),
        FileTrouble::NotSent,
    ];
    let said = troubles.map(|trouble| format!("{}\n", plan.files()[0].fault("p.yaml", &trouble))).concat();
    expect![[r#"
        p.yaml:7:14: there is no file x.csv [missing_file]
          paths count from the plan's folder
        p.yaml:7:14: x.csv cannot be read: it is a folder [unreadable_file]
        p.yaml:7:14: with x.csv the run's files have 2147483648 bytes, more than 1024 MiB [too_large_files]
          send fewer rows, or generate them with `rows`
        p.yaml:7:14: the plan needs the file x.csv, and files cannot be sent this way [file_not_sent]
          start it with `swell run`, which reads the files
    "#]]
    .assert_eq(&said);
}
