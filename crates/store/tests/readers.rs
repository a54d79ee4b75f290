//! Files of raw events in the eyes of others: DuckDB and pyarrow, as they come from PyPI.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod raw;

use std::path::Path;
use std::process::Command;

use expect_test::expect;
use raw::{batch, folder};
use serde_json::Value;
use store::EventStore;

#[test]
fn duckdb_and_pyarrow_open_the_files_as_they_are() {
    let (dir, mut events) = folder();
    for number in 0..3 {
        events.store_loose(&[batch("benchmark 42", "d1", number, 1_000)]).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/readers/events.py");
    let output = Command::new(xtask::python::readers().unwrap())
        .arg(script)
        .arg(dir.path().join("runs/benchmark%2042"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    expect![[r#"
        {
          "duckdb": {
            "columns": {
              "bytes_in": "INTEGER",
              "bytes_out": "INTEGER",
              "connection_wait_us": "BIGINT",
              "endpoint": "VARCHAR",
              "error": "VARCHAR",
              "latency_ms": "INTEGER",
              "response_time_us": "BIGINT",
              "send_lag_us": "BIGINT",
              "service_time_us": "BIGINT",
              "stage": "VARCHAR",
              "status_code": "INTEGER",
              "test_run_id": "VARCHAR",
              "timestamp": "TIMESTAMP WITH TIME ZONE",
              "worker_id": "VARCHAR"
            },
            "errors": [
              [
                "status: 503",
                1500
              ],
              [
                null,
                1500
              ]
            ],
            "first": "2026-03-01 12:10:22+00",
            "median": 2.0,
            "rows": 3000,
            "runs": [
              "benchmark 42"
            ],
            "said": [
              [
                "groundswell.run",
                "benchmark 42"
              ],
              [
                "groundswell.schema_version",
                "1"
              ]
            ]
          },
          "pyarrow": {
            "columns": {
              "bytes_in": "int32",
              "bytes_out": "int32",
              "connection_wait_us": "int64",
              "endpoint": "string",
              "error": "string",
              "latency_ms": "int32",
              "response_time_us": "int64",
              "send_lag_us": "int64",
              "service_time_us": "int64",
              "stage": "string",
              "status_code": "int32",
              "test_run_id": "string",
              "timestamp": "timestamp[us, tz=UTC]",
              "worker_id": "string"
            },
            "errors": [
              [
                "status: 503",
                1500
              ],
              [
                null,
                1500
              ]
            ],
            "first": "2026-03-01T12:10:22+00:00",
            "median": 2.0,
            "rows": 3000,
            "runs": [
              "benchmark 42"
            ]
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&found).unwrap());
}
