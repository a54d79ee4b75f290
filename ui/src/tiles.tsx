// Seven figures with their last minute: the last whole second large, the run's value under it. Once the run is over they
// are those of its summary, so that they read as everywhere else: of the measured part, without warm-up.

import type { Maybe, Row, Run, Summary, Totals } from "./api";
import * as fmt from "./format";
import type { Quantity } from "./format";
import type { History } from "./live";

interface TileProps {
  name: string;
  now: Quantity;
  under: string;
  spark: Maybe[];
  bad?: boolean;
}

const SPARK_SECONDS = 60;

export function Tiles(props: {
  run: Run; last: Row | null; totals: Totals | null; history: History; summary: Summary | null; stale: boolean;
  over: boolean;
}) {
  const { last, totals, history, summary, stale, over } = props;
  const tail = (key: string): Maybe[] => lastMinute(history, key, over);
  const second = over ? null : last;
  const whole = totals?.response_ms ?? null;
  const overall = (quantity: Quantity): string => (over ? "whole run" : `run ${fmt.text(quantity)}`);
  const failed = over && summary ? summary.requests.failed : totals?.failed ?? null;
  const done = over && summary ? (summary.requests.succeeded ?? 0) + (failed ?? 0) : (totals?.succeeded ?? 0) + (failed ?? 0);
  const runErrors = failed !== null && done > 0 ? failed / done : null;
  const errors = second ? (second.completed_per_s ? (second.failed_per_s ?? 0) / second.completed_per_s : null) : runErrors;
  const achieved = over && summary ? summary.rate.achieved_per_s : mean(history, "started_per_s");
  const planned = over ? summary?.rate.planned_per_s ?? null : last?.planned_per_s ?? null;
  const pick = (key: "p50" | "p99" | "max"): Quantity =>
    fmt.time(second ? second.response_ms?.[key] ?? null : whole?.[key] ?? null);
  const flow = (key: "bytes_in_per_s" | "bytes_out_per_s"): Quantity => {
    const all = summary?.bytes[key === "bytes_in_per_s" ? "in" : "out"] ?? null;
    const wholeRun = all !== null && summary?.measured_s ? all / summary.measured_s : null;
    const [value, unit] = fmt.bytes(second ? second[key] : wholeRun);
    return [value, unit && `${unit}/s`];
  };
  return (
    <section
      class={`tiles${stale && last ? " stale" : ""}`}
      aria-label={over ? "Figures of the whole run" : "Figures of the last whole second"}
    >
      {stale && last && <p class="stale-note" role="status">No new second for more than 3 s: these are the last values known.</p>}
      <Tile
        name="achieved" now={fmt.rate(second ? second.started_per_s : achieved)} spark={tail("started_per_s")}
        under={planned === null ? (over ? "whole run" : `run ${fmt.text(fmt.rate(achieved))}`) : `of ${fmt.text(fmt.rate(planned))} planned`}
      />
      <Tile
        name="error rate" now={fmt.percent(errors)} spark={tail("error_ratio")} bad={(errors ?? 0) > 0}
        under={over ? `${fmt.count(failed)} failed` : `run ${fmt.text(fmt.percent(runErrors))}`}
      />
      <Tile name="p50" now={pick("p50")} under={overall(fmt.time(whole?.p50))} spark={tail("response.p50")} />
      <Tile name="p99" now={pick("p99")} under={overall(fmt.time(whole?.p99))} spark={tail("response.p99")} />
      <Tile name="max" now={pick("max")} under={overall(fmt.time(whole?.max))} spark={tail("response.max")} />
      <Tile
        name={over ? "requests" : "in flight"} spark={tail("in_flight")}
        now={over ? [fmt.count(summary?.requests.sent ?? totals?.sent), ""] : [fmt.count(last?.in_flight), ""]}
        under={over ? "sent, without warm-up" : `${fmt.count(last?.connections)} connections`}
      />
      <Tile name="bytes in" now={flow("bytes_in_per_s")} under={`out ${fmt.text(flow("bytes_out_per_s"))}`} spark={tail("bytes_in_per_s")} />
    </section>
  );
}

/** The last minute; of a run that was over sooner, all of it. */
function lastMinute(history: History, key: string, over: boolean): Maybe[] {
  const newest = history.second[history.second.length - 1] ?? 0;
  const column = history.columns[key] ?? [];
  const all = over ? Math.min(SPARK_SECONDS, newest - (history.second[0] ?? 0) + 1) : SPARK_SECONDS;
  const points: Maybe[] = new Array<Maybe>(all).fill(null);
  for (let i = history.second.length - 1; i >= 0; i--) {
    const back = newest - (history.second[i] ?? 0);
    if (back >= all) break;
    points[all - 1 - back] = column[i] ?? null;
  }
  return points;
}

function mean(history: History, key: string): number | null {
  let sum = 0;
  let n = 0;
  for (const value of history.columns[key] ?? []) if (value !== null) (sum += value), n++;
  return n === 0 ? null : sum / n;
}

function Tile({ name, now: [value, unit], under, spark, bad }: TileProps) {
  return (
    <div class={`tile${bad ? " bad" : ""}`}>
      <h2>{name}</h2>
      <p class="figure">
        {bad && <span class="alarm" aria-hidden="true">▲</span>}
        <b>{value}</b> <span class="unit">{unit}</span>
      </p>
      <p class="under">{under}</p>
      <Spark points={spark} />
    </div>
  );
}

/** A line without axes; a second that nobody reported is a gap. */
function Spark({ points }: { points: Maybe[] }) {
  const max = Math.max(0, ...points.filter((p): p is number => p !== null));
  let line = "";
  let area = "";
  let from: number | null = null;
  points.forEach((value, x) => {
    if (value !== null) {
      const place = `${x} ${(23 - (max > 0 ? value / max : 0) * 21).toFixed(1)}`;
      line += from === null ? `M${place}h0.01` : `L${place}`;
      area += from === null ? `M${x} 24L${place}` : `L${place}`;
      from ??= x;
    }
    if (from !== null && (value === null || x === points.length - 1)) area += `V24H${from}Z`;
    if (value === null) from = null;
  });
  return (
    <svg class="spark" viewBox={`0 0 ${Math.max(1, points.length - 1)} 24`} preserveAspectRatio="none" aria-hidden="true">
      <path class="spark-area" d={area} />
      <path class="spark-line" d={line} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
