// The live stream of one run: a snapshot, then one delta a second. Reconnects by itself and resumes where it stopped.
//
// History belongs to the server. The page holds at most HISTORY_ROWS rows; past that it asks for a new snapshot, which
// the server thins. Absent on purpose: any averaging of percentiles, and any value for a second nobody reported.

import { send, Refused } from "./api";
import type { Delta, Driver, Maybe, Row, Run, SecondStats, Series, Snapshot, Storage, Totals } from "./api";

const HISTORY_ROWS = 4000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8000;

/** The columns the charts draw, oldest first; `null` is a gap. */
export interface History {
  second: number[];
  columns: Record<string, Maybe[]>;
  /** Seconds from the newest row to the next, when nothing is missing. */
  step: number;
}

export interface LiveState {
  run: Run;
  totals: Totals | null;
  fleet: Driver[];
  storage: Storage;
  history: History;
  last: Row | null;
  /** `performance.now()` of the last row, and of the last word of the fleet. */
  rowAt: number;
  fleetAt: number;
  /** Server clock minus this machine's, in milliseconds. */
  clockSkew: number;
}

export type Status = "connecting" | "live" | "lost" | "over" | "missing";

const PLAIN = [
  "drivers", "planned_per_s", "due_per_s", "started_per_s", "missed_per_s", "sent_per_s", "completed_per_s",
  "failed_per_s", "bytes_in_per_s", "bytes_out_per_s", "in_flight", "connections",
] as const;
const TIMES = ["count", "mean", "p50", "p95", "p99", "p99_9", "max"] as const;

/** Below so many samples a percentile says nothing and is not drawn. */
const NEEDS: Partial<Record<(typeof TIMES)[number], number>> = { p99: 100, p99_9: 1000 };

const keys: string[] = [
  ...PLAIN, ...TIMES.map((t) => `response.${t}`), ...TIMES.map((t) => `service.${t}`), "error_ratio",
];

const emptyHistory = (): History => ({
  second: [], step: 1, columns: Object.fromEntries(keys.map((key) => [key, []])),
});

function pushRow(history: History, row: Row, step: number): void {
  const last = history.second[history.second.length - 1];
  if (last !== undefined && row.second <= last) return;
  if (last !== undefined && row.second > last + history.step) pushGap(history, last + history.step);
  history.step = step;
  const reported = row.drivers > 0;
  history.second.push(row.second);
  for (const key of PLAIN) {
    const always = key === "planned_per_s" || key === "drivers";
    history.columns[key]?.push(reported || always ? row[key] : null);
  }
  for (const [name, times] of [["response", row.response_ms], ["service", row.service_ms]] as const) {
    for (const key of TIMES) history.columns[`${name}.${key}`]?.push(reported ? shown(times, key) : null);
  }
  const done = row.completed_per_s;
  history.columns["error_ratio"]?.push(reported && done ? (row.failed_per_s ?? 0) / done : null);
}

function pushGap(history: History, second: number): void {
  history.second.push(second);
  for (const column of Object.values(history.columns)) column.push(null);
}

function shown(times: SecondStats | null, key: (typeof TIMES)[number]): Maybe {
  return times === null || times.count < (NEEDS[key] ?? 0) ? null : times[key];
}

function fromSeries(series: Series): History {
  const history = emptyHistory();
  const times = (columns: Series["response_ms"], i: number): SecondStats | null => {
    if ((columns.count[i] ?? null) === null) return null;
    return Object.fromEntries(TIMES.map((key) => [key, columns[key][i] ?? 0])) as unknown as SecondStats;
  };
  series.second.forEach((second, i) => {
    const row: Partial<Row> = { second: second ?? 0, drivers: series.drivers[i] ?? 0 };
    for (const key of PLAIN) if (key !== "drivers") row[key] = series[key][i] ?? null;
    row.response_ms = times(series.response_ms, i);
    row.service_ms = times(series.service_ms, i);
    pushRow(history, row as Row, series.resolution_s);
  });
  return history;
}

/** The last row of the history as a row again, so that a refresh shows the tiles at once. */
function lastRow(series: Series): Row | null {
  const i = series.second.length - 1;
  if (i < 0) return null;
  const row: Record<string, unknown> = { second: series.second[i] };
  for (const key of PLAIN) row[key] = series[key][i] ?? null;
  for (const key of ["response_ms", "service_ms"] as const) {
    const some = (series[key].count[i] ?? null) !== null;
    row[key] = some ? Object.fromEntries(TIMES.map((t) => [t, series[key][t][i] ?? 0])) : null;
  }
  return row as unknown as Row;
}

export class Live {
  state: LiveState | null = null;
  status: Status = "connecting";
  problem: string | null = null;
  private stopped = new AbortController();
  private lastId: string | null = null;

  constructor(private readonly runId: string, private readonly changed: () => void) {
    void this.follow();
  }

  close(): void {
    this.stopped.abort();
  }

  private async follow(): Promise<void> {
    let pause = RETRY_FIRST_MS;
    while (!this.stopped.signal.aborted) {
      try {
        await this.connect(() => (pause = RETRY_FIRST_MS));
        if (this.status === "over") return;
        if (this.lastId === null) continue;
        this.enter("lost");
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        const status = error instanceof Refused ? error.problem.status : 0;
        this.problem = error instanceof Refused ? error.message : "The connection broke";
        this.enter(status === 404 || status === 401 || status === 403 ? "missing" : "lost");
        if (this.status === "missing") return;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, RETRY_LAST_MS);
    }
  }

  private async connect(alive: () => void): Promise<void> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (this.lastId !== null) headers["last-event-id"] = this.lastId;
    const response = await send(`runs/${encodeURIComponent(this.runId)}/live`, {
      headers, signal: this.stopped.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (!reader) return;
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      rest += value;
      for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
        this.message(rest.slice(0, end));
        rest = rest.slice(end + 2);
        if (this.status === "over") return void (await reader.cancel());
        if ((this.state?.history.second.length ?? 0) > HISTORY_ROWS) {
          this.lastId = null;
          return void (await reader.cancel());
        }
      }
    }
  }

  private message(block: string): void {
    let event = "message";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event:")) event = line.slice(6).trim();
      else if (line.startsWith("data:")) data += line.slice(5).trim();
      else if (line.startsWith("id:")) this.lastId = line.slice(3).trim();
    }
    if (event === "snapshot") this.snapshot(JSON.parse(data) as Snapshot);
    else if (event === "delta") this.delta(JSON.parse(data) as Delta);
    if (event === "end") this.enter("over");
    else this.enter("live");
  }

  private snapshot({ now, run, totals, series, fleet, storage }: Snapshot): void {
    const at = performance.now();
    this.state = {
      run, totals, fleet, storage, history: fromSeries(series), last: lastRow(series), rowAt: at, fleetAt: at,
      clockSkew: Date.parse(now) - Date.now(),
    };
  }

  private delta(delta: Delta): void {
    const state = this.state;
    if (!state) return;
    const { run } = state;
    state.clockSkew = Date.parse(delta.now) - Date.now();
    state.run = {
      ...run, state: delta.state, state_reason: delta.state_reason, started_at: delta.started_at,
      ended_at: delta.ended_at, verdict: delta.verdict ?? run.verdict,
      thresholds: delta.thresholds ?? run.thresholds, drivers: delta.drivers ?? run.drivers,
      events: delta.events ? [...run.events, ...delta.events] : run.events,
    };
    state.totals = delta.totals ?? state.totals;
    state.storage = delta.storage ?? state.storage;
    if (delta.fleet) {
      state.fleet = delta.fleet;
      state.fleetAt = performance.now();
    }
    if (!delta.row) return;
    pushRow(state.history, delta.row, 1);
    state.last = delta.row;
    state.rowAt = performance.now();
  }

  private enter(status: Status): void {
    this.status = status;
    this.changed();
  }
}
