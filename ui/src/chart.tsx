// A chart over time: canvas by uPlot, and around it what makes it usable without seeing or pointing at it: a figure
// that takes focus, arrow keys, a spoken value, a legend with dashes, and the same numbers as a table.
//
// All charts of a page share cursor and zoom. Absent on purpose: uPlot's own legend.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import uPlot from "uplot";
import type { Maybe, RunEvent, Stage } from "./api";
import type { History } from "./live";
import { clock, NONE } from "./format";
import { announce, useTheme } from "./page";

export interface Line {
  key: string;
  label: string;
  /** The custom property that holds its colour. */
  color: string;
  dash?: number[];
  width?: number;
  kind?: "line" | "step" | "dots" | "area";
}

export interface ChartProps {
  title: string;
  note?: string;
  history: History;
  lines: Line[];
  format: (value: number | null) => string;
  log?: boolean;
  stages: Stage[];
  events: RunEvent[];
  controls?: ComponentChildren;
}

const SYNC = "run";
const HEIGHT_PX = 216;
const TABLE_ROWS = 600;
/** Steps of the time axis, seconds. */
const STEPS_S = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const FONT = "11px system-ui, sans-serif";

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paths(kind: Line["kind"]): uPlot.Series.PathBuilder | undefined {
  if (kind === "step") return uPlot.paths.stepped?.({ align: 1 });
  return kind === "dots" ? () => null : uPlot.paths.linear?.();
}

/** Warm-up is shaded, stages and events are hairlines. */
function backdrop(u: uPlot, stages: Stage[], events: RunEvent[]): void {
  const { ctx, bbox } = u;
  const x = (second: number): number => Math.round(u.valToPos(second, "x", true));
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = css("--shade");
  for (const stage of stages) {
    // Where another load is measured, the second is none of warm-up.
    const isMeasured = stages.some((other) => !other.warmup && other.from_s < stage.to_s && other.to_s > stage.from_s);
    if (stage.warmup && !isMeasured) ctx.fillRect(x(stage.from_s), bbox.top, x(stage.to_s) - x(stage.from_s), bbox.height);
  }
  for (const event of events) {
    if (event.second === null) continue;
    ctx.fillStyle = css(eventLook(event.kind).bad ? "--bad" : "--hair");
    ctx.fillRect(x(event.second), bbox.top, Math.max(1, Math.round(devicePixelRatio)), bbox.height);
  }
  ctx.restore();
}

/** The sign that stands for a kind of event, and whether it is bad news. */
export function eventLook(kind: string): { sign: string; bad: boolean } {
  if (/lost|fail|died|abort|fence|undeliver|unreach|pause/.test(kind)) return { sign: "✖", bad: true };
  if (/threshold/.test(kind)) return { sign: "⚑", bad: true };
  if (/slow|late|suspect|warn|missing|refus/.test(kind)) return { sign: "▲", bad: true };
  if (/stage|start/.test(kind)) return { sign: "▸", bad: false };
  if (/rate|share/.test(kind)) return { sign: "⇄", bad: false };
  if (/stop|finish|drain|end/.test(kind)) return { sign: "■", bad: false };
  return { sign: "•", bad: false };
}

/** "50.0 ms" as "50 ms": an axis needs no significant zeros. */
const short = (label: string): string => label.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

function logTicks(value: number): boolean {
  const mantissa = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5].some((n) => Math.abs(mantissa - n) < 0.01);
}

function options(props: ChartProps, width: number, onCursor: (index: number | null) => void): uPlot.Options {
  const { lines, log, format } = props;
  const axis = { stroke: css("--muted"), font: FONT, ticks: { show: false } } as const;
  const grid = { stroke: css("--grid"), width: 1 };
  return {
    width,
    height: HEIGHT_PX,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC, scales: ["x", null] },
      drag: { x: true, y: false },
      points: { size: 6 },
      focus: { prox: -1 },
    },
    scales: {
      x: { time: false },
      y: log
        ? { distr: 3, log: 10, range: (_u, min, max) => uPlot.rangeLog(min || 0.1, max || 10, 10, false) }
        : { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid, size: 26, space: 70, incrs: STEPS_S, values: (_u, splits) => splits.map(clock) },
      {
        ...axis, size: 62,
        grid: log ? { ...grid, filter: (_u: uPlot, splits: number[]) => splits.map((v) => (logTicks(v) ? v : null)) } : grid,
        space: log ? 22 : 34,
        values: (_u, splits) => splits.map((v) => (v === null || (log && !logTicks(v)) ? "" : short(format(v)))),
        ...(log ? { filter: (_u: uPlot, splits: number[]) => splits.map((v) => (logTicks(v) ? v : null)) } : {}),
      },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        const stroke = css(line.color);
        const build = paths(line.kind);
        return {
          label: line.label,
          stroke,
          width: line.width ?? 1.75,
          spanGaps: false,
          ...(line.dash ? { dash: line.dash } : {}),
          ...(build ? { paths: build } : {}),
          ...(line.kind === "area" ? { fill: `${stroke}2e` } : {}),
          points: {
            size: line.kind === "dots" ? 4 : 5, fill: stroke, stroke,
            show: (u, seriesIndex, from, to) => line.kind === "dots" || lonely(u, seriesIndex, from, to),
          },
        };
      }),
    ],
    hooks: {
      drawClear: [(u) => backdrop(u, props.stages, props.events)],
      setCursor: [(u) => onCursor(u.cursor.idx ?? null)],
    },
  };
}

/** A line of one or two points is drawn as points: a short run never shows an empty chart. */
function lonely(u: uPlot, seriesIndex: number, from: number, to: number): boolean {
  let seen = 0;
  for (let i = from; i <= to; i++) if (u.data[seriesIndex]?.[i] != null && ++seen > 2) return false;
  return seen > 0;
}

export function Chart(props: ChartProps) {
  const { title, note, history, lines, format, log } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [cursor, setCursor] = useState<number | null>(null);
  const [table, setTable] = useState(false);
  const theme = useTheme();

  const data = useMemo(
    () => [history.second.slice(), ...lines.map((line) => positive(history.columns[line.key] ?? [], log))] as uPlot.AlignedData,
    [history, history.second.length, lines, log],
  );

  useEffect(() => {
    const element = holder.current;
    if (!element || table) return;
    const made = new uPlot(
      options(latest.current, Math.max(240, element.clientWidth), setCursor), data, element,
    );
    made.root.setAttribute("aria-hidden", "true");
    plot.current = made;
    const sized = new ResizeObserver(() => made.setSize({ width: Math.max(240, element.clientWidth), height: HEIGHT_PX }));
    sized.observe(element);
    return () => {
      sized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [table, theme, log, lines]);

  useEffect(() => {
    const u = plot.current;
    if (!u) return;
    const keep = isZoomed(u);
    u.setData(data, !keep);
    if (keep) u.redraw();
  }, [data, props.events.length]);

  const say = (index: number): void => {
    const parts = lines.map((line) => `${line.label} ${format(history.columns[line.key]?.[index] ?? null)}`);
    announce(`${clock(history.second[index] ?? 0)}: ${parts.join(", ")}`);
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const u = plot.current;
    const last = history.second.length - 1;
    if (!u || last < 0 || event.target !== event.currentTarget) return;
    const from = cursor ?? last;
    const by = event.shiftKey ? 10 : 1;
    const target = { ArrowLeft: from - by, ArrowRight: from + by, Home: 0, End: last }[event.key];
    if (event.key === "Escape") {
      setZoom(u, history);
      moveCursors(null);
    } else if (target !== undefined) {
      const index = Math.min(last, Math.max(0, target));
      moveCursors(history.second[index] ?? 0);
      say(index);
    } else return;
    event.preventDefault();
  };

  const at = cursor ?? history.second.length - 1;
  return (
    <figure
      class="panel chart"
      tabIndex={0}
      aria-label={`${title}. Arrow keys move through time, Escape resets the zoom.`}
      onKeyDown={onKeyDown}
      onDblClick={() => plot.current && setZoom(plot.current, history)}
    >
      <figcaption class="panel-head">
        <h2>{title}</h2>
        {note && <span class="note">{note}</span>}
        <span class="spacer" />
        {props.controls}
        <button type="button" class="quiet" aria-pressed={table} onClick={() => setTable(!table)}>
          {table ? "Show as chart" : "Show as table"}
        </button>
      </figcaption>
      {table ? (
        <DataTable {...props} />
      ) : (
        <>
          <ul class="legend" aria-label="Legend">
            <li class="when">{history.second.length > 0 ? clock(history.second[at] ?? 0) : NONE}</li>
            {lines.map((line) => (
              <li key={line.key}>
                <Swatch line={line} /> <span>{line.label}</span>{" "}
                <b>{format(history.columns[line.key]?.[at] ?? null)}</b>
              </li>
            ))}
          </ul>
          <div class="plot" ref={holder} />
          {history.second.length === 0 && <p class="empty">No second is complete yet.</p>}
        </>
      )}
    </figure>
  );
}

function positive(column: Maybe[], log: boolean | undefined): Maybe[] {
  return log ? column.map((value) => (value !== null && value > 0 ? value : null)) : column.slice();
}

/** Whether less than the whole run is shown; new seconds must not undo that. */
function isZoomed(u: uPlot): boolean {
  const { min, max } = u.scales["x"] ?? {};
  const seconds = u.data[0];
  if (min == null || max == null || seconds.length < 2) return false;
  return min > (seconds[0] ?? 0) + 0.5 || max < (seconds[seconds.length - 1] ?? 0) - 0.5;
}

/** Puts the cursor of every chart on a second, or away. */
function moveCursors(second: number | null): void {
  for (const each of uPlot.sync(SYNC).plots) {
    each.setCursor(second === null ? { left: -10, top: -10 } : { left: each.valToPos(second, "x"), top: 8 });
  }
}

function setZoom(u: uPlot, history: History): void {
  const last = history.second.length - 1;
  if (last < 1) return;
  for (const each of uPlot.sync(SYNC).plots) {
    each.setScale("x", { min: history.second[0] ?? 0, max: history.second[last] ?? 1 });
  }
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
}

function Swatch({ line }: { line: Line }) {
  const color = `var(${line.color})`;
  return (
    <svg class="swatch" width="22" height="10" aria-hidden="true">
      {line.kind === "dots" ? (
        [3, 11, 19].map((x) => <circle key={x} cx={x} cy="5" r="2" fill={color} />)
      ) : (
        <path
          d="M0 5H22"
          fill="none" stroke={color} stroke-width="2" stroke-dasharray={line.dash?.join(" ")}
        />
      )}
    </svg>
  );
}

function DataTable({ title, history, lines, format }: ChartProps) {
  const from = Math.max(0, history.second.length - TABLE_ROWS);
  const rows = history.second.slice(from).map((second, i) => [second, from + i] as const).reverse();
  return (
    <div class="scroll tall" role="region" aria-label={`${title} as a table`} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">time</th>
            {lines.map((line) => <th scope="col" class="n" key={line.key}>{line.label}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map(([second, i]) => (
            <tr key={second}>
              <th scope="row">{clock(second)}</th>
              {lines.map((line) => <td class="n" key={line.key}>{format(history.columns[line.key]?.[i] ?? null)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
      {from > 0 && <p class="note">The last {TABLE_ROWS} rows. All of them: the series call of the API.</p>}
    </div>
  );
}
