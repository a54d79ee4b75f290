//! What a look at an answer costs, by its kind and size: `cargo run --release -p plan --example answer_cost`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for the terminal")]

use std::hint::black_box;
use std::time::Duration;

use plan::Answer;

/// Each is done so often.
const ROUNDS: u32 = 20;

fn page(bytes: usize) -> String {
    let rows: String = (0..bytes / 64)
        .map(|row| format!("<li class=\"row\"><a href=\"/item/{row:06}\">Item {row:06}</a></li>\n"))
        .collect();
    format!("<html><body><ul>{rows}</ul><p class=\"last\">end</p></body></html>")
}

fn list(bytes: usize) -> String {
    let rows: Vec<String> = (0..bytes / 64)
        .map(|row| {
            format!("{{\"id\":{row},\"name\":\"Item {row:06}\",\"tags\":[\"a\",\"b\"],\"price\":9.99}}")
        })
        .collect();
    format!("{{\"items\":[{}],\"last\":7}}", rows.join(","))
}

fn main() {
    let text = "version: 1\nname: x\ntarget: http://h\nload: { model: avalanche, requests_per_driver: 1 }\n\
                scenarios: { s: { steps: [ { get: /, save: { a: \"css:p.last\", b: $.last, c: \"regex:last..(.)\" } } ] } }";
    let plan = plan::parse("cost", text).unwrap();
    let takings = &plan.scenarios[0].steps[0].saves;
    println!("{:<8} {:>12} {:>12} {:>12}", "", "bytes", "time", "ns/byte");
    for size in [4 << 10, 64 << 10, 256 << 10, 4 << 20] {
        let (page, list) = (page(size), list(size));
        for (taking, kind, body) in
            [(&takings[0], "css", &page), (&takings[1], "json", &list), (&takings[2], "regex", &list)]
        {
            let answer = Answer {
                status: 200,
                header: &|_| None,
                body: body.as_bytes(),
                response_time: Duration::ZERO,
            };
            assert!(taking.source.take(&answer).is_some(), "{kind}");
            let start = clock::thread_cpu();
            (0..ROUNDS).for_each(|_| drop(black_box(taking.source.take(&answer))));
            let each = (clock::thread_cpu() - start) / ROUNDS;
            println!(
                "{kind:<8} {:>12} {each:>12.1?} {:>12.1}",
                body.len(),
                each.as_nanos() as f64 / body.len() as f64
            );
        }
    }
}
