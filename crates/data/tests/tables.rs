//! What is read from files of rows, and what is said of faulty ones: each test is a file and its table.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fmt::Write as _;

use data::{Buffer, Table};
use expect_test::{Expect, expect};
use plan::DataFormat::{self, Csv, JsonLines, Tsv};

fn open(file: impl AsRef<[u8]>, format: DataFormat) -> Result<Table, Vec<data::TableFault>> {
    Table::open(file.as_ref().into(), format)
}

fn said(file: impl AsRef<[u8]>, format: DataFormat) -> String {
    let mut said = String::new();
    match open(file, format) {
        Ok(table) => {
            writeln!(said, "{}", table.columns().join(" | ")).unwrap();
            let mut buffer = Buffer::default();
            for row in 0..table.len() {
                let cells = (0..table.columns().len())
                    .map(|column| format!("{:?}", table.cell(row, column, &mut buffer).unwrap()));
                writeln!(said, "{}", cells.collect::<Vec<_>>().join(" ")).unwrap();
            }
        }
        Err(faults) => {
            for fault in faults {
                let line = fault.clone().in_file("f");
                writeln!(said, "{line}").unwrap();
                if !fault.text.is_empty() {
                    writeln!(said, "    | {}", fault.text).unwrap();
                }
            }
        }
    }
    said
}

fn check(file: impl AsRef<[u8]>, format: DataFormat, expect: Expect) {
    expect.assert_eq(&said(file, format));
}

#[test]
fn values_separated_by_commas() {
    check(
        "name,mail\nada,a@x\ngrace,g@x\n",
        Csv,
        expect![[r#"
            name | mail
            Text("ada") Text("a@x")
            Text("grace") Text("g@x")
        "#]],
    );
}

#[test]
fn quotes_line_ends_and_the_mark_at_the_beginning() {
    check(
        "\u{feff}\"name\", note \r\n\"Hopper, \"\"Grace\"\"\",\"two\r\nlines\"\r\n\r\n,\r\nlast,no end",
        Csv,
        expect![[r#"
            name | note
            Text("Hopper, \"Grace\"") Text("two\r\nlines")
            Text("") Text("")
            Text("last") Text("no end")
        "#]],
    );
    check(
        "a,b\rc,d\r",
        Csv,
        expect![[r#"
            a | b
            Text("c") Text("d")
        "#]],
    );
    check(
        "a\n\"\"\n\"x\"",
        Csv,
        expect![[r#"
            a
            Text("")
            Text("x")
        "#]],
    );
}

#[test]
fn values_separated_by_tabs() {
    check(
        "name\tnote\nada\ta, b\nünï\t\"a\tb\"\n",
        Tsv,
        expect![[r#"
            name | note
            Text("ada") Text("a, b")
            Text("ünï") Text("a\tb")
        "#]],
    );
}

#[test]
fn a_long_value_is_read_whole() {
    let long = "x".repeat(100_000);
    let table = open(format!("a,b\n\"{long}\"\"\",{long}y\n1,2\n"), Csv).unwrap();
    let mut buffer = Buffer::default();
    assert_eq!(table.cell(0, 0, &mut buffer).unwrap().as_str(), format!("{long}\""));
    assert_eq!(table.cell(0, 1, &mut buffer).unwrap().as_str(), format!("{long}y"));
    assert_eq!(table.cell(1, 1, &mut buffer).unwrap().as_str(), "2");
    assert_eq!(table.cell(2, 0, &mut buffer), None);
    assert_eq!(table.cell(0, 2, &mut buffer), None);
}

#[test]
fn rows_of_other_lengths_than_the_header() {
    check(
        "a,b\n1\n1,2\n1,2,3\n\"x\ny\",1,2\n1,2,\n",
        Csv,
        expect![[r#"
        f:2:1: this row has 1 value, and the header 2 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | 1
        f:4:1: this row has 3 values, and the header 2 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | 1,2,3
        f:5:1: this row has 3 values, and the header 2 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | "x
        f:7:1: this row has 3 values, and the header 2 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | 1,2,
    "#]],
    );
}

#[test]
fn empty_files() {
    check(
        "",
        Csv,
        expect![[r#"
        f:1:1: the file is empty [no_rows]
          the first line names the columns, others are rows
    "#]],
    );
    check(
        "\u{feff}\r\n\n",
        Csv,
        expect![[r#"
        f:1:1: the file is empty [no_rows]
          the first line names the columns, others are rows
    "#]],
    );
    check(
        "a,b\n\n",
        Csv,
        expect![[r#"
        f:1:1: the file has no row below its header [no_rows]
          the first line names the columns, others are rows
    "#]],
    );
    check(
        "",
        JsonLines,
        expect![[r#"
        f:1:1: the file is empty [no_rows]
          write a JSON object on each line
    "#]],
    );
    check(
        "\n  \n",
        JsonLines,
        expect![[r#"
        f:1:1: the file is empty [no_rows]
          write a JSON object on each line
    "#]],
    );
}

#[test]
fn headers_that_name_no_columns() {
    check(
        "a,,a, \n1,2,3,4\n5\n",
        Csv,
        expect![[r#"
        f:1:1: column 2 has no name [nameless_column]
          the first line names every column
        f:1:1: the column "a" is there twice [duplicate_column]
          give each column its own name
            | a
        f:1:1: column 4 has no name [nameless_column]
          the first line names every column
        f:3:1: this row has 1 value, and the header 4 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | 5
    "#]],
    );
    let wide = |columns: usize| vec!["x"; columns].join(",");
    check(
        wide(1_001) + "\n" + &wide(1_001),
        Csv,
        expect![[r#"
        f:1:1: the header has 1001 columns, more than 1000 [too_many_columns]
          leave out what the plan does not use
    "#]],
    );
}

#[test]
fn quotes_that_are_not_closed() {
    check(
        "a,b\n1,2\n3,\"4\n5,6\n",
        Csv,
        expect![[r#"
        f:3:1: a quote in this row is never closed [unclosed_quote]
          close it; within quotes write "" for a quote
            | 3,"4
    "#]],
    );
    check(
        "a,\"b\n",
        Csv,
        expect![[r#"
        f:1:1: a quote in this row is never closed [unclosed_quote]
          close it; within quotes write "" for a quote
            | a,"b
    "#]],
    );
    check(
        "a\n\"\"\"",
        Csv,
        expect![[r#"
        f:2:1: a quote in this row is never closed [unclosed_quote]
          close it; within quotes write "" for a quote
            | """
    "#]],
    );
}

#[test]
fn other_encodings() {
    check(
        b"a,b\n1,2\nM\xFCller,3\n\xE4,4\n,\n9\n",
        Csv,
        expect![[r#"
        f:3:1: this line is not written in UTF-8 [not_utf8]
          save the file as UTF-8
            | M�ller,3
        f:6:1: this row has 1 value, and the header 2 [ragged_row]
          each row has a value for each column; one that has the separator in it stands in quotes
            | 9
    "#]],
    );
    check(
        b"\xFF\xFEa\0,\0b\0\n\0",
        Csv,
        expect![[r#"
            f:1:1: the file is written in UTF-16 [not_utf8]
              save the file as UTF-8
        "#]],
    );
    check(
        b"{\"a\": \"M\xFCller\"}\n",
        JsonLines,
        expect![[r#"
        f:1:1: this line is not written in UTF-8 [not_utf8]
          save the file as UTF-8
            | {"a": "M�ller"}
    "#]],
    );
}

#[test]
fn values_beyond_the_limit() {
    let large = "x".repeat(plan::limits::DATA_CELL_BYTES + 1);
    check(
        format!("a,b\n1,2\n3,{large}\n"),
        Csv,
        expect![[r#"
        f:3:1: a value of this row has 1048577 bytes, more than 1 MiB [large_value]
          look for a quote that is closed too late
    "#]],
    );
    check(
        format!("{{\"a\": 1}}\n{{\"a\": \"{large}\"}}\n"),
        JsonLines,
        expect![[r#"
        f:2:1: a value of this row has 1048579 bytes, more than 1 MiB [large_value]
          look for a quote that is closed too late
    "#]],
    );
    let largest = "x".repeat(plan::limits::DATA_CELL_BYTES);
    assert!(open(format!("a\n{largest}\n"), Csv).is_ok());
}

#[test]
fn not_more_faults_than_somebody_reads() {
    let faults = open("a,b\n".to_owned() + &"1\n".repeat(1_000), Csv).unwrap_err();
    assert_eq!((faults.len(), faults[19].line), (data::FAULTS, 21));
    let faults = open("{}}\n".repeat(1_000), JsonLines).unwrap_err();
    assert_eq!(faults.len(), data::FAULTS);
}

#[test]
fn lines_of_json() {
    check(
        "\u{feff}{\"id\": 1, \"name\": \"ada\", \"ok\": true}\r\n\n  { \"name\" : \"\" , \"ok\":null,\"id\":-1.5e3 }\n\
         {\"id\": {\"a\": [1, \"}\\\"]\", {}], \"b\": 2}, \"name\": \"ü\\u00fc\\uD83D\\uDE00\\n\\\"\\\\\\/\", \"\\u006fk\": [ ]}",
        JsonLines,
        expect![[r#"
            id | name | ok
            Json("1") Text("ada") Json("true")
            Json("-1.5e3") Text("") Json("null")
            Json("{\"a\": [1, \"}\\\"]\", {}], \"b\": 2}") Text("üü😀\n\"\\/") Json("[ ]")
        "#]],
    );
}

#[test]
fn lines_that_are_no_objects_or_have_other_keys() {
    check(
        "{\"a\": 1, \"b\": 2}\n[1]\n{\"a\": 1,}\n{\"a\": 1}\n{\"a\": 1, \"b\": 2, \"c\": 3}\n{\"a\": 1, \"b\": 2, \"a\": 3}\n\
         {\"a\": \"\\ud800\", \"b\": 2}\n7\nnull\n{\"a\": \"\n",
        JsonLines,
        expect![[r#"
            f:2:1: this line is JSON, but no object [bad_json_line]
              each line is one JSON object
                | [1]
            f:3:1: this line is not JSON: key must be a string in column 9 [bad_json_line]
              each line is one JSON object
                | {"a": 1,}
            f:4:1: this line has no "b" [other_keys]
              every line has the keys of the first; write null where there is no value
            f:5:1: this line has "c", which the first has not [other_keys]
              every line has the keys of the first; write null where there is no value
                | c
            f:6:1: the column "a" is there twice [duplicate_column]
              give each column its own name
                | a
            f:7:1: this line has half of a pair of surrogates, which is no character [bad_json_line]
              write the character itself, in UTF-8
            f:7:1: this line has no "a" [other_keys]
              every line has the keys of the first; write null where there is no value
            f:8:1: this line is JSON, but no object [bad_json_line]
              each line is one JSON object
                | 7
            f:9:1: this line is JSON, but no object [bad_json_line]
              each line is one JSON object
                | null
            f:10:1: this line is not JSON: EOF while parsing a string in column 7 [bad_json_line]
              each line is one JSON object
                | {"a": "
        "#]],
    );
    check(
        "{}\n{}\n",
        JsonLines,
        expect![[r#"
        f:1:1: the first line has no keys [nameless_column]
          the first line has the keys that all others have
        f:2:1: the first line has no keys [nameless_column]
          the first line has the keys that all others have
    "#]],
    );
    check(
        "{\"a\": 1, \"a\": 2}\n",
        JsonLines,
        expect![[r#"
        f:1:1: the column "a" is there twice [duplicate_column]
          give each column its own name
            | a
    "#]],
    );
}

#[test]
fn columns_are_found_by_name() {
    let table = open("name,mail\nada,a@x\n", Csv).unwrap();
    assert_eq!((table.len(), table.column("mail"), table.column("Mail")), (1, Some(1), None));
}
