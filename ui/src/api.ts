// What the server says, as types, and the calls of the REST interface. Every failure is a problem document (RFC 9457).
// Absent on purpose: any state of the page.

/** Times in milliseconds, from merged histograms. */
export interface Stats {
  count: number;
  mean: number;
  min: number;
  max: number;
  stddev: number;
  p50: number;
  p75: number;
  p90: number;
  p95: number;
  p99: number;
  p99_9: number;
  p99_99: number;
}

/** The part of `Stats` that is sent for every second. */
export interface SecondStats {
  count: number;
  mean: number;
  p50: number;
  p95: number;
  p99: number;
  p99_9: number;
  max: number;
}

export type Maybe = number | null;

/** One step of time; rates are per second whatever the resolution. */
export interface Row {
  second: number;
  drivers: number;
  planned_per_s: Maybe;
  due_per_s: Maybe;
  started_per_s: Maybe;
  missed_per_s: Maybe;
  sent_per_s: Maybe;
  completed_per_s: Maybe;
  failed_per_s: Maybe;
  bytes_in_per_s: Maybe;
  bytes_out_per_s: Maybe;
  in_flight: Maybe;
  connections: Maybe;
  response_ms: SecondStats | null;
  service_ms: SecondStats | null;
}

type Columns<T> = { [K in keyof T]: Maybe[] };

/** Many rows, column by column. */
export type Series = { resolution_s: number; response_ms: Columns<SecondStats>; service_ms: Columns<SecondStats> } & {
  [K in Exclude<keyof Row, "response_ms" | "service_ms">]: Maybe[];
};

export interface Reason {
  code: string;
  driver: string | null;
  seconds: number;
  text: string;
}

export interface Verdict {
  value: "valid" | "suspect" | "invalid";
  reasons: Reason[];
  /** What was the target's doing, or the plan's own limit. */
  findings: Reason[];
}

/** One threshold of the plan, as it stands. */
export interface Threshold {
  expression: string;
  scope: string;
  result: "pass" | "fail" | "no_data";
  observed: Maybe;
  limit: number;
  unit: "ms" | "/s" | "%" | null;
  first_breach_s: Maybe;
  /** Whether the run fails by it. */
  failed: boolean;
  /** Whether it ended the run. */
  aborted: boolean;
}

export interface RunEvent {
  second: number | null;
  at: string;
  kind: string;
  text: string;
  driver: string | null;
}

export interface RunDriver {
  node_id: string;
  state: string;
  requests_sent: number;
  summary_only: { mean_ms: number; median_ms: number; min_ms: number; max_ms: number } | null;
}

export interface Stage {
  name: string;
  from_s: number;
  to_s: number;
  rate_per_s: number;
  warmup: boolean;
}

export type RunState =
  | "created" | "arming" | "armed" | "running" | "draining" | "finished" | "aborted" | "failed";

export interface Run {
  run_id: string;
  plan: string;
  state: RunState;
  state_reason: string | null;
  loop: "open" | "closed";
  targets: string[];
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  planned_s: number | null;
  planned_requests_per_driver: number | null;
  stages: Stage[];
  drivers: RunDriver[];
  verdict: Verdict;
  thresholds: Threshold[];
  events: RunEvent[];
  rate_adjustable: boolean;
}

/** Whether nothing more will happen in the run. */
export const isOver = (run: Run): boolean => ["finished", "aborted", "failed"].includes(run.state);

export interface ErrorCount {
  kind: string;
  detail: string | null;
  count: number;
}

export interface Totals {
  sent: number;
  succeeded: number;
  failed: number;
  response_ms: Stats | null;
  service_ms: Stats | null;
  send_lag_p99_ms: number | null;
  errors: ErrorCount[];
}

export interface Driver {
  node_id: string;
  address: string;
  state: string;
  reason: string | null;
  heartbeat_age_ms: number | null;
  cores: number | null;
  cpu_percent: number | null;
  memory_bytes: number | null;
  version: string | null;
  clock_offset_ms: number | null;
  clock_error_ms: number | null;
  requests_sent: number | null;
  send_lag_p99_us: number | null;
  open_sockets: number | null;
  zone: string | null;
}

/** One that stores raw events. */
export interface Collector {
  name: string;
  partitions: number;
  rows: number;
  lag_s: number;
  lag_batches: number;
}

/** How storing goes; `troubles` has the worst first, and is empty when all is well. */
export interface Storage {
  troubles: { code: string; text: string }[];
  events: { lag_s: number; lag_batches: number; set_aside: number; missing: number; collectors: Collector[] } | null;
}

export interface Snapshot {
  now: string;
  run: Run;
  totals: Totals | null;
  series: Series;
  fleet: Driver[];
  storage: Storage;
}

/** What changed since the message before; what is absent did not. */
export interface Delta {
  now: string;
  state: RunState;
  state_reason: string | null;
  started_at: string | null;
  ended_at: string | null;
  row?: Row;
  totals?: Totals;
  verdict?: Verdict;
  thresholds?: Threshold[];
  drivers?: RunDriver[];
  fleet?: Driver[];
  storage?: Storage;
  events?: RunEvent[];
}

export interface RunItem {
  run_id: string;
  plan: string;
  state: RunState;
  loop: "open" | "closed" | null;
  created_at: string;
  started_at: string | null;
  duration_s: number | null;
  verdict: Verdict["value"] | null;
  requests_sent: number | null;
  error_ratio: number | null;
  achieved_per_s: number | null;
  p99_ms: number | null;
}

export interface StepSummary {
  name: string;
  requests: { sent: number; succeeded: number; failed: number; cancelled: number };
  response_time_ms: Stats | null;
  service_time_ms: Stats | null;
}

export interface Summary {
  state: string;
  measured_s: Maybe;
  duration_s: Maybe;
  requests: { sent: Maybe; succeeded: Maybe; failed: Maybe; cancelled: Maybe; unknown: Maybe };
  rate: { planned_per_s: Maybe; achieved_per_s: Maybe; requests_per_s: Maybe };
  bytes: { in: Maybe; out: Maybe };
  send_lag_ms: { p99: Maybe };
  steps: StepSummary[];
  errors: ErrorCount[];
  accounting: { balanced: boolean } & Record<string, unknown>;
}

export interface Fault {
  field?: string | null;
  line?: number | null;
  column?: number | null;
  code: string;
  message: string;
  help?: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  state?: string;
  errors?: Fault[];
}

/** A call that the server refused, or that did not reach it (`status` 0). */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

const BASE = "api/v1/";
const TOKEN = "swell-token";

/** The token typed at the sign-in form; kept for this tab only. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
};

/** One request to the server, with the token where there is one. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const secret = token.get();
  if (secret) headers.set("authorization", `Bearer ${secret}`);
  let response: Response;
  try {
    response = await fetch(BASE + path, { ...init, headers, cache: "no-store" });
  } catch {
    throw new Refused({ type: "about:blank", title: "The server cannot be reached", status: 0 });
  }
  if (response.ok) return response;
  let problem: Problem;
  try {
    problem = (await response.json()) as Problem;
  } catch {
    problem = { type: "about:blank", title: response.statusText || "The call failed", status: response.status };
  }
  if (response.status === 401) dispatchEvent(new Event("swell-signin"));
  throw new Refused(problem);
}

const get = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await send(path, signal ? { signal } : {})).json() as Promise<T>;

const post = async <T>(path: string, body: unknown): Promise<T> =>
  (await send(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  })).json() as Promise<T>;

const id = encodeURIComponent;

export const runs = (before?: string): Promise<{ runs: RunItem[]; next: string | null }> =>
  get(`runs?limit=50${before ? `&before=${id(before)}` : ""}`);
export const newest = async (): Promise<RunItem | null> =>
  (await get<{ runs: RunItem[] }>("runs?limit=1")).runs[0] ?? null;
export const summary = (run: string): Promise<Summary> => get(`runs/${id(run)}/summary`);
export const drivers = async (): Promise<Driver[]> => (await get<{ drivers: Driver[] }>("drivers")).drivers;
export const storage = (): Promise<Storage> => get("storage");
/** What a plan without faults would do; of one driver where `per_driver`, else of all. */
export interface Checked {
  duration_s: Maybe;
  per_driver: boolean;
  planned_per_s: Maybe;
  iterations: number;
}

export const check = (form: Record<string, unknown>): Promise<Checked> => post("plans/check", form);
export const create = (form: Record<string, unknown>): Promise<{ run_id: string; state: RunState }> =>
  post("runs?start=true", form);
export const control = (run: string, verb: "start" | "stop" | "abort"): Promise<{ state: RunState }> =>
  post(`runs/${id(run)}/${verb}`, {});
