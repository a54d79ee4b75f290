//! Rows in the files of other tools.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod run;

use expect_test::{Expect, expect};
use query::{Form, Table};
use run::{RUN, folder, written};
use store::{EventRows, Reader, event_files};

fn events(form: Form, rows: usize) -> String {
    let dir = folder();
    let all = EventRows::of(event_files(dir.path(), RUN).unwrap()).map(Result::unwrap);
    written(form, &store::perf_results(), all.map(|batch| batch.slice(0, rows.min(batch.num_rows()))))
}

fn check(form: Form, expected: Expect) {
    expected.assert_eq(&events(form, 8));
}

#[test]
fn events_as_csv() {
    check(
        Form::Csv,
        expect![[r#"
        timestamp,test_run_id,worker_id,endpoint,latency_ms,status_code,response_time_us,service_time_us,send_lag_us,bytes_in,bytes_out,error,connection_wait_us,stage
        2026-03-01T12:10:00Z,benchmark_42,d1,GET /,1,200,1000,900,20,500,180,,0,warm
        2026-03-01T12:10:00.010Z,benchmark_42,d1,"POST /cart, all",2,200,2000,1800,20,500,180,,0,warm
        2026-03-01T12:10:00.020Z,benchmark_42,d1,GET /,3,200,3000,2700,20,500,180,,0,warm
        2026-03-01T12:10:00.030Z,benchmark_42,d1,"POST /cart, all",4,503,4000,3600,20,500,180,status: 503,0,warm
        2026-03-01T12:10:00.040Z,benchmark_42,d1,GET /,5,200,5000,4500,20,500,180,,0,warm
        2026-03-01T12:10:00.050Z,benchmark_42,d1,"POST /cart, all",6,200,6000,5400,20,500,180,,0,warm
        2026-03-01T12:10:00.060Z,benchmark_42,d1,GET /,7,200,7000,6300,20,500,180,,0,warm
        2026-03-01T12:10:00.070Z,benchmark_42,d1,"POST /cart, all",8,,8000,,20,500,180,connect_refused,0,warm
    "#]],
    );
}

/// The columns of JMeter, with its words for a request that got no answer.
#[test]
fn events_as_jtl() {
    check(
        Form::Jtl,
        expect![[r#"
        timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success,failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect
        1772366999999,1,GET /,200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000008,2,"POST /cart, all",200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000017,3,GET /,200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000026,4,"POST /cart, all",503,status: 503,d1 1-1,text,false,status: 503,500,180,0,0,null,0,0,0
        1772367000035,5,GET /,200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000044,6,"POST /cart, all",200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000053,7,GET /,200,OK,d1 1-1,text,true,,500,180,0,0,null,0,0,0
        1772367000070,0,"POST /cart, all",Non HTTP response code: connect_refused,connect_refused,d1 1-1,text,false,connect_refused,500,180,0,0,null,0,0,0
    "#]],
    );
}

#[test]
fn events_as_lines_of_json() {
    let text = events(Form::Ndjson, 8);
    expect![[r#"{"timestamp":"2026-03-01T12:10:00.070Z","test_run_id":"benchmark_42","worker_id":"d1","endpoint":"POST /cart, all","latency_ms":8,"status_code":null,"response_time_us":8000,"service_time_us":null,"send_lag_us":20,"bytes_in":500,"bytes_out":180,"error":"connect_refused","connection_wait_us":0,"stage":"warm"}"#]].assert_eq(text.lines().nth(7).unwrap());
}

#[test]
fn events_as_one_json_array() {
    let parsed: serde_json::Value = serde_json::from_str(&events(Form::Json, 8)).unwrap();
    assert_eq!(parsed.as_array().unwrap().len(), 8);
    assert_eq!(parsed[3]["error"], "status: 503");
    assert_eq!(parsed[0]["error"], serde_json::Value::Null);
}

#[test]
fn windows_as_csv_have_their_histograms() {
    let dir = folder();
    let mut rows = Vec::new();
    query::rows(&Reader::open(dir.path()).unwrap(), RUN, Table::Windows, |batch| {
        rows.push(batch);
        true
    })
    .unwrap();
    let text = written(Form::Csv, &Table::Windows.schema(), rows.into_iter());
    expect![[r#"
        test_run_id,timestamp,second,endpoint,kind,stage,is_warmup,requests,succeeded,failed,cancelled,sent,bytes_in,bytes_out,response_time_bins,response_time_counts,response_time_sum_us,response_time_min_us,response_time_max_us,service_time_bins,service_time_counts,service_time_sum_us,service_time_min_us,service_time_max_us,step_number,stage_number
        benchmark_42,2026-03-01T12:10:00Z,0,GET /,step,warm,true,22,20,2,0,22,10000,0,"[11169, 12193, 12728, 13217, 13508, 13752, 13996, 14241, 14410, 14532, 17909]","[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]",310000.0,1000.0,100000.0,"[10973, 11997, 12582, 13021, 13386, 13606, 13826, 14045, 14265, 14410]","[2, 2, 2, 2, 2, 2, 2, 2, 2, 2]",99000.0,900.0,9000.0,0,0"#]].assert_eq(&text.lines().take(2).collect::<Vec<_>>().join("\n"));
}

#[test]
fn nothing_is_a_file_with_a_head() {
    let empty = |form| written(form, &store::perf_results(), std::iter::empty());
    assert_eq!(empty(Form::Csv).lines().count(), 1);
    assert_eq!(empty(Form::Jtl).lines().count(), 1);
    assert_eq!(empty(Form::Json).trim(), "[]");
    assert_eq!(empty(Form::Ndjson), "");
}

#[test]
fn a_jtl_of_windows_is_refused() {
    let refused = query::sink(Form::Jtl, &Table::Windows.schema(), RUN, Vec::new()).err().unwrap();
    assert!(refused.to_string().contains("raw events"), "{refused}");
}
