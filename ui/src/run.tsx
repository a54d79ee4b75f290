// The page of one run, live or over: both read the same stream, so both show the same picture.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { isOver } from "./api";
import type { Run, Storage, Summary } from "./api";
import { Chart } from "./chart";
import type { Line } from "./chart";
import * as fmt from "./format";
import { Fleet, FleetNow } from "./fleet";
import { Live } from "./live";
import type { LiveState } from "./live";
import { announce, useBeat } from "./page";
import { DriverShare, Errors, Events, Percentiles, Steps, Thresholds, VerdictLine } from "./panels";
import { RunHeader } from "./header";
import { StorageLine, StorageNow } from "./storage";
import { Tiles } from "./tiles";

/** Older than this, a value is greyed: it is the last one known, not the present one. */
export const STALE_MS = 3000;

const RATE: Line[] = [
  { key: "planned_per_s", label: "planned", color: "--planned", dash: [5, 4], kind: "step", width: 1.5 },
  { key: "sent_per_s", label: "sent", color: "--c-blue", width: 2 },
  { key: "completed_per_s", label: "completed", color: "--c-green", dash: [8, 3] },
  { key: "failed_per_s", label: "errors", color: "--c-red", kind: "area", dash: [2, 2], width: 2 },
];

const latencies = (kind: "response" | "service"): Line[] => [
  { key: `${kind}.p50`, label: "p50", color: "--c-blue", width: 2 },
  { key: `${kind}.p95`, label: "p95", color: "--c-green", dash: [8, 3] },
  { key: `${kind}.p99`, label: "p99", color: "--c-red", dash: [3, 2], width: 2 },
  { key: `${kind}.max`, label: "max", color: "--c-purple", kind: "dots" },
];
const LATENCY = { response: latencies("response"), service: latencies("service") };

const perSecond = (value: number | null): string => fmt.text(fmt.rate(value));
const duration = (value: number | null): string => fmt.text(fmt.time(value));

/** The stream of one run, kept open while the page shows it. */
function useLive(runId: string): Live | null {
  const [, render] = useState(0);
  const live = useRef<Live | null>(null);
  useEffect(() => {
    const made = new Live(runId, () => render((n) => n + 1));
    live.current = made;
    return () => made.close();
  }, [runId]);
  return live.current;
}

export function RunPage({ runId }: { runId: string }) {
  const live = useLive(runId);
  const state = live?.state ?? null;
  useBeat(live?.status !== "over", 1000);
  useSpokenState(state?.run);
  useSpokenTrouble(state && !isOver(state.run) ? state.storage : undefined);
  if (!live || !state) {
    return live?.status === "missing" || live?.status === "lost" ? (
      <p class="banner bad" role="alert">{live.problem ?? "This run cannot be shown."}</p>
    ) : (
      <p class="banner">Loading the run …</p>
    );
  }
  return <Shown live={live} state={state} />;
}

/** State changes are announced, ticks are not. */
function useSpokenState(run: Run | undefined): void {
  useEffect(() => {
    if (run) document.title = `${run.plan} ${run.state} – Groundswell`;
    return () => void (document.title = "Groundswell");
  }, [run?.plan, run?.state]);
  const before = useRef<string | null>(null);
  const events = useRef(0);
  useEffect(() => {
    if (!run) return;
    if (before.current !== null && before.current !== run.state) announce(`The run is ${run.state}.`);
    before.current = run.state;
    const last = run.events[run.events.length - 1];
    if (events.current > 0 && run.events.length > events.current && last) announce(last.text);
    events.current = run.events.length;
  }, [run?.state, run?.events.length]);
}

/** What storing suffers from is announced once, not with every second that it lasts. */
function useSpokenTrouble(storage: Storage | undefined): void {
  const codes = storage?.troubles.map((trouble) => trouble.code).join(" ");
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    const first = storage?.troubles[0];
    if (first) announce(fmt.sentence(first.text));
    else if (before.current && codes === "") announce("Storage keeps up again.");
    before.current = codes;
  }, [codes]);
}

function Shown({ live, state }: { live: Live; state: LiveState }) {
  const { run, totals, history, last } = state;
  const over = isOver(run);
  const [kind, setKind] = useState<"response" | "service">("response");
  const [log, setLog] = useState(true);
  const stale = !over && performance.now() - state.rowAt > STALE_MS;
  const summary = useSummary(run, over);
  const common = { history, stages: run.stages, events: run.events };
  const seconds = history.second.length;
  const note = useMemo(
    () => (over && seconds > 0 && seconds <= 2 && run.started_at && run.ended_at
      ? `the run lasted ${fmt.digits((Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000)} s` : ""),
    [over, seconds],
  );
  return (
    <>
      <RunHeader run={run} skew={state.clockSkew} status={live.status} />
      <main id="main">
        <VerdictLine
          run={run} balanced={summary?.accounting.balanced ?? null}
          lag={over ? summary?.send_lag_ms.p99 ?? null : totals?.send_lag_p99_ms ?? null}
        />
        {over ? <StorageNow /> : <StorageLine storage={state.storage} />}
        <Tiles run={run} last={last} totals={totals} history={history} summary={summary} stale={stale} over={over} />
        <Chart title="Rate" note={note || "requests per second; planned counts iterations"} lines={RATE} format={perSecond} {...common} />
        <Chart
          title={kind === "response" ? "Response time" : "Service time"}
          note={kind === "response" ? "from the intended start · all requests" : "from the moment it was sent · all requests"}
          lines={LATENCY[kind]} format={duration} log={log} {...common}
          controls={
            <>
              <Choice label="Which time" value={kind} options={["response", "service"]} onChange={setKind} />
              <Choice label="Scale" value={log ? "log" : "linear"} options={["log", "linear"]} onChange={(v) => setLog(v === "log")} />
            </>
          }
        />
        <div class="columns">
          <Percentiles totals={totals} />
          <DriverShare run={run} />
          <Errors errors={summary?.errors ?? totals?.errors ?? []} sent={totals?.sent ?? 0} />
        </div>
        <Thresholds run={run} over={over} />
        <Events run={run} />
        {summary && <Steps summary={summary} />}
        {over ? <FleetNow /> : <Fleet drivers={state.fleet} heardAt={state.fleetAt} title="Fleet" />}
      </main>
    </>
  );
}

/** The stored result, once there is one to read. */
function useSummary(run: Run, over: boolean): Summary | null {
  const [summary, set] = useState<Summary | null>(null);
  useEffect(() => {
    if (!over || run.started_at === null) return;
    let gone = false;
    api.summary(run.run_id).then((value) => gone || set(value), () => gone || set(null));
    return () => {
      gone = true;
    };
  }, [run.run_id, over]);
  return summary;
}

function Choice<T extends string>(props: { label: string; value: T; options: T[]; onChange: (value: T) => void }) {
  return (
    <span class="choice" role="group" aria-label={props.label}>
      {props.options.map((option) => (
        <button key={option} type="button" aria-pressed={option === props.value} onClick={() => props.onChange(option)}>
          {option}
        </button>
      ))}
    </span>
  );
}

