// A stand-in for the server, for what a real run cannot be made to show at will: a driver lost, a gap, silence.
// `node test/fixture.mjs [PORT]` serves the page with it, for work on the page itself.
//
// Runs: `live` goes on, `done` is over, `short` lasted 1.4 s, `bad` lost a driver, has a gap and fell silent.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const assets = fileURLToPath(new URL("../../crates/api/assets/", import.meta.url));
const FILES = { "/": ["index.html", "text/html"], "/app.js": ["app.js", "text/javascript"], "/app.css": ["app.css", "text/css"] };
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
  + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** Numbers that look random and are the same every time. */
const noise = (n) => {
  const x = Math.sin(n * 127.1 + 11.7) * 43758.5453;
  return x - Math.floor(x);
};

const STAGES = [
  { name: "warm-up", from_s: 0, to_s: 30, rate_per_s: 250, warmup: true },
  { name: "steady", from_s: 30, to_s: 120, rate_per_s: 500, warmup: false },
  { name: "spike", from_s: 120, to_s: 200, rate_per_s: 1400, warmup: false },
  { name: "recovery", from_s: 200, to_s: 260, rate_per_s: 500, warmup: false },
];

const planned = (s) => STAGES.find((stage) => s < stage.to_s)?.rate_per_s ?? 0;

function times(s, load, scale) {
  const busy = 1 + (load > 1000 ? 5 + 3 * noise(s + 3) : 0.3 * noise(s + 5));
  const p50 = 4.1 * busy * scale * (0.95 + 0.1 * noise(s));
  return { count: Math.round(load * 1.2), mean: p50 * 1.2, p50, p95: p50 * 2.4, p99: p50 * (3.9 + 1.5 * noise(s + 1)),
    p99_9: p50 * 7, max: p50 * (8 + 18 * noise(s + 2) ** 3) };
}

function row(s, kind) {
  const load = planned(s);
  if (kind === "bad" && s >= 90 && s < 102) return { ...blank(s), planned_per_s: load };
  const sent = Math.round(load * 1.2 * (0.99 + 0.02 * noise(s)));
  const failed = load > 1000 ? Math.round(sent * 0.012 * noise(s + 7)) : kind === "bad" && s > 60 ? Math.round(sent * 0.03) : 0;
  return { second: s, drivers: 3, planned_per_s: load, due_per_s: load, started_per_s: Math.round(load * (0.995 + 0.01 * noise(s + 8))),
    missed_per_s: 0, sent_per_s: sent, completed_per_s: Math.round(sent * (0.985 + 0.02 * noise(s + 4))), failed_per_s: failed,
    bytes_in_per_s: sent * 412, bytes_out_per_s: sent * 138, in_flight: Math.round(sent * 0.006 * (load > 1000 ? 7 : 1) + 4 * noise(s)),
    connections: load > 1000 ? 214 : 64, response_ms: times(s, load, 1), service_ms: times(s, load, 0.82) };
}

const blank = (s) => ({ second: s, drivers: 0, planned_per_s: null, due_per_s: null, started_per_s: null, missed_per_s: null,
  sent_per_s: null, completed_per_s: null, failed_per_s: null, bytes_in_per_s: null, bytes_out_per_s: null, in_flight: null,
  connections: null, response_ms: null, service_ms: null });

function series(rows) {
  const out = { resolution_s: 1 };
  for (const key of Object.keys(blank(0))) {
    out[key] = key.endsWith("_ms")
      ? Object.fromEntries(["count", "mean", "p50", "p95", "p99", "p99_9", "max"].map((t) => [t, rows.map((r) => r[key]?.[t] ?? null)]))
      : rows.map((r) => r[key]);
  }
  return out;
}

const stats = (scale, count) => ({ count, mean: 7.42 * scale, median: 4.31 * scale, min: 0.91 * scale, max: 412 * scale, stddev: 11.2 * scale,
  p50: 4.31 * scale, p75: 8.8 * scale, p90: 22.4 * scale, p95: 41.7 * scale, p99: 96.2 * scale, p99_9: 188 * scale, p99_99: 355 * scale });

function totals(rows) {
  const sum = (key) => rows.reduce((total, r) => total + (r[key] ?? 0), 0);
  const failed = sum("failed_per_s");
  const errors = failed === 0 ? [] : [{ kind: "status", detail: "503", count: Math.ceil(failed * 0.8) },
    { kind: "request_timeout", detail: null, count: Math.floor(failed * 0.15) }, { kind: "connect_reset", detail: null, count: Math.floor(failed * 0.05) }];
  return { sent: sum("sent_per_s"), succeeded: sum("completed_per_s") - failed, failed, send_lag_p99_ms: 0.21, errors,
    response_ms: rows.length ? stats(1, sum("completed_per_s")) : null, service_ms: rows.length ? stats(0.83, sum("completed_per_s")) : null };
}

const NODES = ["driver-a7f2", "driver-c019", "driver-e4d8"];

const fleet = (kind, silent = 0) => NODES.map((node_id, i) => ({
  node_id, address: `10.4.0.${11 + i}`, state: kind === "bad" && i === 1 ? "lost" : kind === "live" ? "running" : "idle",
  reason: null, heartbeat_age_ms: kind === "bad" && i === 1 ? 48_200 : 240 + 310 * i + silent, cores: 8, cpu_percent: 38.2 + 3 * i,
  memory_bytes: 61_400_000 + i * 2_100_000, version: "0.1.0", clock_offset_ms: [-0.3, 1.2, 0.1][i], clock_error_ms: 0.8,
  requests_sent: 31_240 + i, send_lag_p99_us: 180 + 30 * i, open_sockets: 71, zone: "eu-1" + "abc"[i] }));

/** `bad` cannot store; elsewhere all is well, by two collectors. */
const storage = (kind, seconds = 0) => kind === "bad"
  ? { troubles: [
      { code: "events_refused", text: `raw events have not been stored for ${12 + seconds} s, and wait in Kafka: postgres://swell@db.internal:5432/results cannot be reached: Connection refused; is PostgreSQL running, and does it listen there?` },
      { code: "retention", text: "Kafka deletes events in 95 s that are not stored yet: start more collectors, or raise retention.ms and retention.bytes of Vd9x/swell.events" }],
    events: { lag_s: 12.4 + seconds, lag_batches: 4210, set_aside: 1, missing: 0, collectors: [
      { name: "orchestrator-eu-1", partitions: 4, rows: 1_204_551, lag_s: 12.4 + seconds, lag_batches: 4210 }] } }
  : { troubles: [], events: { lag_s: 0.31, lag_batches: 4, set_aside: 0, missing: 0, collectors: [
      { name: "orchestrator-eu-1", partitions: 2, rows: 612_004, lag_s: 0.31, lag_batches: 3 },
      { name: "collector-node-7-1188", partitions: 2, rows: 598_310, lag_s: 0.12, lag_batches: 1 }] } };

function makeRun(kind, created) {
  const started = new Date(created + 2000);
  const over = kind === "done" || kind === "short";
  const length = kind === "short" ? 1.4 : 262;
  const events = [{ second: null, at: new Date(created).toISOString(), kind: "created", text: "The run was created.", driver: null },
    { second: 0, at: started.toISOString(), kind: "started", text: "Started on 3 drivers.", driver: null },
    ...(kind === "short" ? [] : STAGES.slice(1).map((s) => ({ second: s.from_s, at: started.toISOString(), kind: "stage", text: `Stage ${s.name} at ${s.rate_per_s}/s.`, driver: null })))];
  if (kind === "bad") events.push({ second: 96, at: started.toISOString(), kind: "driver_lost", text: "Driver driver-c019 was lost: no heartbeat for 5 s. Its 341 lanes moved to the others.", driver: "driver-c019" });
  if (over) events.push({ second: Math.floor(length), at: started.toISOString(), kind: "finished", text: "Finished as planned.", driver: null });
  return { run_id: `01JD8K-${kind}`, plan: kind === "short" ? "smoke" : "checkout-peak", state: over ? "finished" : "running", state_reason: null, loop: "open",
    targets: ["http://127.0.0.1:7701"], created_at: new Date(created).toISOString(), started_at: started.toISOString(),
    ended_at: over ? new Date(started.getTime() + length * 1000).toISOString() : null, planned_s: kind === "short" ? 1.4 : 260,
    planned_requests_per_driver: null, stages: kind === "short" ? [{ ...STAGES[1], from_s: 0, to_s: 1.4 }] : STAGES, events, rate_adjustable: true,
    drivers: NODES.map((node_id, i) => ({ node_id, state: kind === "bad" && i === 1 ? "lost" : over ? "finished" : "running", requests_sent: 31_240 - (kind === "bad" && i === 1 ? 14_100 : i), summary_only: null })),
    thresholds: kind === "short" ? [] : [
      { expression: "p99 < 250ms", scope: "run", result: "pass", observed: 96.2, limit: 250, unit: "ms", first_breach_s: null, failed: false, aborted: false },
      { expression: "error_rate of \"POST /api/cart\" < 0.5%", scope: "step POST /api/cart", result: kind === "bad" ? "fail" : "pass",
        observed: kind === "bad" ? 0.83 : 0.1, limit: 0.5, unit: "%", first_breach_s: kind === "bad" ? 97 : null, failed: kind === "bad", aborted: false }],
    verdict: kind === "bad"
      ? { value: "suspect", target_saturated: true, reasons: [
          { code: "driver_lost", driver: "driver-c019", seconds: 12, text: "1 of 3 drivers was lost; its share was moved 6 s later." },
          { code: "send_lag", driver: "driver-a7f2", seconds: 4, text: "driver-a7f2 sent late in 4 seconds: latencies there are upper bounds." }],
          findings: [
          { code: "target_saturated", driver: "driver-a7f2", seconds: 9, text: "The target could not keep up with driver-a7f2 in 9 of 150 s." },
          { code: "target_refusing", driver: "driver-a7f2", seconds: 2, text: "The target refused connections of driver-a7f2 in 2 of 150 s." }] }
      : { value: "valid", reasons: [], findings: [], target_saturated: false } };
}

const SECONDS = { live: 192, done: 262, short: 2, bad: 150 };
const item = (run, rows) => ({ run_id: run.run_id, plan: run.plan, state: run.state, loop: "open", created_at: run.created_at, started_at: run.started_at,
  duration_s: run.ended_at ? (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000 : null, verdict: run.verdict.value,
  requests_sent: totals(rows).sent, error_ratio: totals(rows).failed / totals(rows).sent, achieved_per_s: 640.2, p99_ms: 96.2 });

const FAULTS = {
  test_message_delay: (v) => (typeof v !== "number" ? "must be a number of milliseconds" : v < 0 ? "must not be negative" : null),
  message_count_per_driver: (v) => (!Number.isInteger(v) || v < 1 ? "must be a whole number of at least 1" : null),
  target: (v) => (/^http:\/\/\S+$/.test(v) ? null : "must be an address that starts with http://"),
};

/** Starts it; `newest` is the run the live page shows. */
export async function start({ port = 0, newest = "live", empty = false } = {}) {
  const began = Date.now();
  const runs = Object.fromEntries(Object.entries(SECONDS).map(([kind, s]) => [kind, makeRun(kind, began - s * 1000 - 2500)]));
  const seconds = (kind) => SECONDS[kind] + (kind === "live" ? Math.floor((Date.now() - began) / 1000) : 0);
  const rowsOf = (kind) => Array.from({ length: seconds(kind) }, (_, s) => row(s, kind));
  const order = [newest, ...Object.keys(SECONDS).filter((kind) => kind !== newest)];
  const requests = [];

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://x");
    requests.push(`${request.method} ${url.pathname}`);
    const json = (status, body, type = "application/json") => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(JSON.stringify(body));
    };
    const file = FILES[url.pathname];
    if (file) {
      response.writeHead(200, { "content-type": `${file[1]}; charset=utf-8`, "content-security-policy": POLICY });
      return response.end(readFileSync(assets + file[0]));
    }
    const path = url.pathname.replace("/api/v1/", "");
    if (path === "runs" && request.method === "POST") return createRun(request, json);
    if (path === "runs") return json(200, { runs: empty ? [] : order.map((kind) => item(runs[kind], rowsOf(kind))).slice(0, Number(url.searchParams.get("limit"))), next: null });
    if (path === "plans/check") return check(request, json);
    if (path === "storage") return json(200, storage(newest));
    if (path === "drivers") return json(200, { drivers: fleet("live") });
    const [, kind, what] = path.match(/^runs\/01JD8K-(\w+)\/(\w+)$/) ?? [];
    if (!kind || !runs[kind]) return json(404, { type: "about:blank", title: "Not Found", status: 404, detail: "There is no such run." }, "application/problem+json");
    if (what === "summary") return json(200, summary(runs[kind], rowsOf(kind)));
    if (what === "stop" || what === "abort") {
      runs[kind].state = what === "stop" ? "draining" : "aborted";
      return json(202, { state: runs[kind].state });
    }
    live(kind, response);
  });

  /** The form that was posted; answers it with its faults where it has some. */
  async function form(request, json) {
    let text = "";
    for await (const chunk of request) text += chunk;
    const form = JSON.parse(text);
    const errors = Object.entries(FAULTS).flatMap(([field, judge]) => {
      const message = form[field] === undefined ? null : judge(form[field]);
      return message ? [{ field, code: "form", message: `${field} ${message}` }] : [];
    });
    if (errors.length === 0) return form;
    json(422, { type: "about:blank", title: "The form has faults", status: 422, errors }, "application/problem+json");
    return null;
  }

  async function createRun(request, json) {
    if (await form(request, json)) json(201, { run_id: runs.live.run_id, state: "created" });
  }

  async function check(request, json) {
    const { test_message_delay: delay, message_count_per_driver: iterations } = (await form(request, json)) ?? {};
    if (iterations) json(200, { valid: true, per_driver: true, iterations, planned_per_s: 1000 / delay, duration_s: iterations * delay / 1000 });
  }

  function live(kind, response) {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    const event = (name, data, id) => response.write(`event: ${name}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
    const rows = rowsOf(kind);
    const run = runs[kind];
    event("snapshot", { now: new Date().toISOString(), run, totals: totals(rows), series: series(rows), fleet: fleet(kind), storage: storage(kind) }, rows.length);
    if (run.ended_at) return response.end("event: end\ndata: {}\n\n");
    if (kind === "bad") return;
    const timer = setInterval(() => {
      const now = rowsOf(kind);
      event("delta", { now: new Date().toISOString(), state: run.state, state_reason: null, started_at: run.started_at, ended_at: null,
        row: now.at(-1), totals: totals(now), fleet: fleet(kind), storage: storage(kind), verdict: run.verdict, thresholds: run.thresholds }, now.length);
    }, 1000);
    response.on("close", () => clearInterval(timer));
  }

  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, requests, stop: () => (server.closeAllConnections(), server.close()) };
}

function summary(run, rows) {
  const all = totals(rows);
  const step = (name, share) => ({ name, requests: { sent: Math.round(all.sent * share), succeeded: 0, failed: Math.round(all.failed * share), cancelled: 0 },
    response_time_ms: stats(share + 0.5, 10_000), service_time_ms: stats(share + 0.4, 10_000), errors: [] });
  return { state: run.state, requests: { ...all, cancelled: 0, unknown: 0 }, bytes: { in: 96e6, out: 31e6 }, send_lag_ms: { p99: 0.21 }, errors: all.errors, measured_s: 230, duration_s: 262, rate: { planned_per_s: 640, achieved_per_s: 639.1, requests_per_s: 767 },
    steps: [step("GET /api/products", 0.6), step("POST /api/basket", 0.3), step("POST /api/checkout", 0.1)], accounting: { balanced: true } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start({ port: Number(process.argv[2] ?? 7799) });
  console.log(url);
}
