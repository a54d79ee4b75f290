//! A rehearsal as JSON, one object a line for each request.

use std::time::Duration;

use engine::rehearsal::{Event, Exchange};
use serde_json::{Value, json};

use super::body;

/// Writes requests; remembers whose they are.
#[derive(Debug, Default)]
pub struct Writer {
    scenario: String,
    iteration: u32,
}

impl Writer {
    pub fn event(&mut self, event: &Event) -> String {
        match event {
            Event::Begins { scenario, number, .. } => {
                (self.scenario, self.iteration) = (scenario.clone(), *number);
                String::new()
            }
            Event::Once { fixture, .. } => {
                (self.scenario, self.iteration) = (fixture.as_str().to_owned(), 0);
                String::new()
            }
            Event::Exchange(exchange) => format!("{}\n", self.exchange(exchange)),
            _ => String::new(),
        }
    }

    fn exchange(&self, exchange: &Exchange) -> Value {
        let request = exchange.request.as_ref().map(|sent| {
            json!({
                "method": sent.method, "url": sent.url, "version": sent.version,
                "headers": pairs(&sent.headers), "body": text(&sent.body, sent.body.len() as u64, false),
            })
        });
        let response = exchange.answer.as_ref().map(|answer| {
            json!({
                "status": answer.status, "headers": pairs(&answer.headers), "body_bytes": answer.body_bytes,
                "body": text(&answer.body, answer.body_bytes, answer.is_cut),
                "first_byte_ms": ms(answer.first_byte), "total_ms": ms(answer.total),
            })
        });
        let checks: Vec<Value> = exchange
            .checks
            .iter()
            .map(|check| {
                json!({"check": check.text, "ok": check.holds, "expected": check.expected, "found": check.found})
            })
            .collect();
        json!({
            "scenario": self.scenario, "iteration": self.iteration, "step": exchange.step,
            "redirect": exchange.redirects, "connect_ms": exchange.connect.map(|(connect, _)| ms(connect)),
            "request": request, "response": response, "checks": checks, "saved": pairs(&exchange.saved),
            "cookies": exchange.cookies,
            "failure": exchange.failure.as_ref().map(|failure| json!({"kind": failure.kind, "text": failure.text})),
        })
    }
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| json!([name, value])).collect()
}

fn text(bytes: &[u8], all: u64, is_cut: bool) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !is_cut && text.len() <= body::SHOWN_CHARS => text.into(),
        _ => body::shown(bytes, all, is_cut).into(),
    }
}

fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}
