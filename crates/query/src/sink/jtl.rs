//! JMeter's result file in CSV, with its default columns.
//!
//! JMeter counts a sample from when it was sent, so `timeStamp` is that time and `elapsed` the service time: their sum is
//! when the answer was complete, as JMeter's own reports take it. Rows without a service time were never sent; theirs is
//! the time when they failed, and 0. The response time, which counts from the intended time, has no column there.
//! What JMeter has and we do not record is what JMeter writes for it: 0 for times and threads, `null` for the URL.
//!
//! Source: `CSVSaveService` and `SampleSaveConfiguration` of JMeter 5.6.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;

use super::Sink;
use crate::Fault;

const HEAD: &str = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,\
                    bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect";

pub(super) struct Jtl<W: Write> {
    to: W,
    line: String,
}

impl<W: Write> Jtl<W> {
    pub(super) fn new(schema: &SchemaRef, mut to: W) -> Result<Self, Fault> {
        if schema.field_with_name("response_time_us").is_err() {
            return Err(Fault::Rows("a JTL file holds raw events, and these rows are none".to_owned()));
        }
        writeln!(to, "{HEAD}")?;
        Ok(Self { to, line: String::new() })
    }
}

impl<W: Write> Sink for Jtl<W> {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), Fault> {
        let long = |name: &str| rows[name].as_primitive::<Int64Type>();
        let int = |name: &str| rows[name].as_primitive::<Int32Type>();
        let text = |name: &str| rows[name].as_string::<i32>();
        let done = rows["timestamp"].as_primitive::<TimestampMicrosecondType>();
        let (service, status) = (long("service_time_us"), int("status_code"));
        let (bytes_in, bytes_out) = (int("bytes_in"), int("bytes_out"));
        let (endpoint, worker, error) = (text("endpoint"), text("worker_id"), text("error"));
        for row in 0..rows.num_rows() {
            let or_0 =
                |column: &arrow_array::Int32Array| if column.is_valid(row) { column.value(row) } else { 0 };
            let service_us = if service.is_valid(row) { service.value(row) } else { 0 };
            // Rounded so that begin and end are each right to the millisecond.
            let (sent_ms, done_ms) = (ms(done.value(row) - service_us), ms(done.value(row)));
            let error = error.is_valid(row).then(|| error.value(row));
            let line = &mut self.line;
            line.clear();
            put(line, &sent_ms.to_string());
            put(line, &(done_ms - sent_ms).to_string());
            put(line, endpoint.value(row));
            match status.is_valid(row) {
                true => put(line, &status.value(row).to_string()),
                false => put(line, &format!("Non HTTP response code: {}", error.unwrap_or("unknown"))),
            }
            put(line, error.unwrap_or("OK"));
            put(line, &format!("{} 1-1", worker.value(row)));
            put(line, "text");
            put(line, if error.is_none() { "true" } else { "false" });
            put(line, error.unwrap_or_default());
            put(line, &or_0(bytes_in).to_string());
            put(line, &or_0(bytes_out).to_string());
            line.push_str("0,0,null,0,0,0\n");
            self.to.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        Ok(self.to.flush()?)
    }
}

const fn ms(us: i64) -> i64 {
    us.div_euclid(1_000)
}

/// Adds a value and a comma, quoted as JMeter quotes: where a comma, a quote or a line end is in it.
fn put(line: &mut String, value: &str) {
    if value.contains([',', '"', '\r', '\n']) {
        line.push('"');
        line.push_str(&value.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(value);
    }
    line.push(',');
}
