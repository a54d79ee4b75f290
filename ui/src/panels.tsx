// The tables under the charts, each over the whole run.

import type { ErrorCount, Run, Stats, Summary, Threshold, Totals } from "./api";
import type { ComponentChildren } from "preact";
import { eventLook } from "./chart";
import * as fmt from "./format";

const VERDICTS = { valid: "✓", suspect: "▲", invalid: "✖" } as const;

function Panel(props: { title: string; note?: string | undefined; class?: string; children: ComponentChildren }) {
  return (
    <section class={`panel ${props.class ?? ""}`}>
      <div class="panel-head">
        <h2>{props.title}</h2>
        {props.note && <span class="note">{props.note}</span>}
      </div>
      {props.children}
    </section>
  );
}

export function VerdictLine(props: { run: Run; lag: number | null; balanced: boolean | null }) {
  const { lag } = props;
  const { verdict } = props.run;
  const first = verdict.reasons[0];
  const finding = verdict.findings[0];
  const rest = [...verdict.reasons.slice(1), ...verdict.findings.slice(1)];
  return (
    <section class={`verdict ${verdict.value}`} aria-label="Verdict on the generators">
      <span class="verdict-word">
        <span aria-hidden="true">{VERDICTS[verdict.value]}</span> Generators {verdict.value}
      </span>
      <span>
        {first ? first.text : "They did what the plan asked; the numbers can be trusted."}
      </span>
      {finding && <span class="finding"><span aria-hidden="true">▲</span> {finding.text}</span>}
      <span class="spacer" />
      {lag !== null && <span class="note">send lag p99 {fmt.text(fmt.time(lag))}</span>}
      {props.balanced !== null && (
        <span class="note">{props.balanced ? "accounting balanced" : "✖ accounting does not balance"}</span>
      )}
      {rest.length > 0 && (
        <details>
          <summary>{rest.length} more</summary>
          <ul>{rest.map((reason) => <li key={`${reason.code} ${reason.driver}`}>{reason.text}</li>)}</ul>
        </details>
      )}
    </section>
  );
}

const ROWS: readonly (readonly [string, keyof Stats])[] = [
  ["p50", "p50"], ["p75", "p75"], ["p90", "p90"], ["p95", "p95"], ["p99", "p99"], ["p99.9", "p99_9"],
  ["p99.99", "p99_99"], ["max", "max"], ["min", "min"], ["mean", "mean"], ["std dev", "stddev"],
];

/** Samples a percentile needs before it is more than one or two of them. */
const NEEDS: Partial<Record<keyof Stats, number>> = { p99: 100, p99_9: 1000, p99_99: 10000 };

export function Percentiles({ totals }: { totals: Totals | null }) {
  const response = totals?.response_ms ?? null;
  const service = totals?.service_ms ?? null;
  const cell = (stats: Stats | null, key: keyof Stats): string =>
    stats === null || stats.count < (NEEDS[key] ?? 0) ? fmt.NONE : fmt.ms(stats[key]);
  const most = Math.max(response?.max ?? 0, 1e-9);
  return (
    <Panel title="Percentiles" note={response ? `ms · ${fmt.count(response.count)} samples · without warm-up` : "ms"}>
      <table class="percentiles">
        <thead>
          <tr>
            <th scope="col"><span class="hidden">statistic</span></th>
            <th scope="col" class="n">response</th>
            <th scope="col" class="n">service</th>
            <th scope="col" class="bar-cell"><span class="hidden">share of the maximum, log scale</span></th>
          </tr>
        </thead>
        <tbody>
          {ROWS.map(([name, key]) => (
            <tr key={name} class={key === "min" ? "cut" : ""}>
              <th scope="row">{name}</th>
              <td class="n strong">{cell(response, key)}</td>
              <td class="n">{cell(service, key)}</td>
              <td class="bar-cell"><Bar share={response && cell(response, key) !== fmt.NONE ? logShare(response[key], most) : 0} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

/** Where a time lies between a thousandth of the largest and the largest, logarithmically. */
const logShare = (value: number, most: number): number =>
  Math.max(0.01, Math.min(1, 1 + Math.log10(Math.max(value, 1e-9) / most) / 3));

function Bar({ share, look }: { share: number; look?: string }) {
  return (
    <svg class={`bar ${look ?? ""}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="bar-rest" width="100" height="8" />
      <rect class="bar-fill" width={Math.max(0, Math.min(1, share)) * 100} height="8" />
    </svg>
  );
}

export function DriverShare({ run }: { run: Run }) {
  const all = run.drivers.reduce((sum, driver) => sum + driver.requests_sent, 0);
  const most = Math.max(1, ...run.drivers.map((driver) => driver.requests_sent));
  return (
    <Panel title="Requests per driver" note={`${fmt.count(all)} sent`}>
      {run.drivers.length === 0 ? <p class="empty">No driver takes part yet.</p> : (
        <div class="scroll" role="region" aria-label="Requests per driver" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">driver</th><th scope="col">state</th><th scope="col" class="n">sent</th>
                <th scope="col" class="n">share</th><th scope="col" class="bar-cell"><span class="hidden">bar</span></th>
              </tr>
            </thead>
            <tbody>
              {run.drivers.map((driver) => (
                <tr key={driver.node_id} class={/lost|fenced|suspect/.test(driver.state) ? "warn" : ""}>
                  <th scope="row" class="id">{driver.node_id}</th>
                  <td>{driver.state}</td>
                  <td class="n strong">{fmt.count(driver.requests_sent)}</td>
                  <td class="n">{all > 0 ? `${fmt.digits((driver.requests_sent / all) * 100)} %` : fmt.NONE}</td>
                  <td class="bar-cell"><Bar share={driver.requests_sent / most} /></td>
                </tr>
              ))}
            </tbody>
          </table>
          <Outside run={run} />
        </div>
      )}
    </Panel>
  );
}

/** Drivers that report only summaries: shown beside the merged result, never in it. */
function Outside({ run }: { run: Run }) {
  const some = run.drivers.filter((driver) => driver.summary_only !== null);
  if (some.length === 0) return null;
  return (
    <p class="note">
      Outside the merged result, by their own word:{" "}
      {some.map(({ node_id, summary_only }) =>
        `${node_id} mean ${fmt.ms(summary_only?.mean_ms)} ms, median ${fmt.ms(summary_only?.median_ms)} ms, `
        + `${fmt.ms(summary_only?.min_ms)} to ${fmt.ms(summary_only?.max_ms)} ms`).join("; ")}
    </p>
  );
}

export function Errors(props: { errors: ErrorCount[]; sent: number }) {
  const errors = [...props.errors].sort((a, b) => b.count - a.count);
  const all = errors.reduce((sum, error) => sum + error.count, 0);
  return (
    <Panel title="Errors by kind" note={all > 0 ? `${fmt.count(all)} failed` : undefined}>
      {errors.length === 0 ? (
        <p class="empty">{props.sent > 0 ? <><span aria-hidden="true">✓ </span>No request failed.</> : "Nothing was sent yet."}</p>
      ) : (
        <div class="scroll" role="region" aria-label="Errors by kind" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">kind</th><th scope="col">detail</th><th scope="col" class="n">count</th>
                <th scope="col" class="n">share</th><th scope="col" class="bar-cell"><span class="hidden">bar</span></th>
              </tr>
            </thead>
            <tbody>
              {errors.slice(0, 200).map((error) => (
                <tr key={`${error.kind} ${error.detail}`}>
                  <th scope="row">{error.kind}</th>
                  <td>{error.detail ?? ""}</td>
                  <td class="n strong">{fmt.count(error.count)}</td>
                  <td class="n">{fmt.text(fmt.percent(error.count / all))}</td>
                  <td class="bar-cell"><Bar share={error.count / (errors[0]?.count ?? 1)} look="bad" /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

const RESULTS = { pass: ["✓", "pass"], fail: ["✖", "FAIL"], no_data: ["–", "no data"] } as const;

/** A value in the unit in which its limit is compared. */
const observed = ({ observed, unit }: Threshold): string =>
  observed === null ? fmt.NONE : unit === null ? fmt.count(observed) : `${fmt.digits(observed)}${unit === "/s" ? "" : " "}${unit}`;

/** How far the value is from the limit, in shares of the limit. */
const margin = ({ observed, limit }: Threshold): string =>
  observed === null || limit === 0 ? fmt.NONE : fmt.text(fmt.percent(Math.abs(observed - limit) / limit));

/** What the plan asks for, and what came of it; nothing where the plan asks for nothing. */
export function Thresholds({ run, over }: { run: Run; over: boolean }) {
  const { thresholds } = run;
  if (thresholds.length === 0) return null;
  const number = (result: Threshold["result"]): number => thresholds.filter((one) => one.result === result).length;
  const note = `${number("pass")} pass · ${number("fail")} fail · ${number("no_data")} no data${over ? "" : " · so far"}`;
  return (
    <Panel title="Thresholds" note={note}>
      <div class="scroll" role="region" aria-label="Thresholds" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">threshold</th><th scope="col">result</th><th scope="col">of</th>
              <th scope="col" class="n">observed</th><th scope="col" class="n">margin</th>
              <th scope="col" class="n">first breach</th>
            </tr>
          </thead>
          <tbody>
            {thresholds.map((one, i) => {
              const [sign, word] = RESULTS[one.result];
              const bad = one.result === "fail" || (over && one.failed);
              return (
                <tr key={i} class={bad ? "warn" : ""}>
                  <th scope="row">{one.expression}</th>
                  <td><span aria-hidden="true">{sign}</span> {word}{one.aborted ? ", ended the run" : ""}</td>
                  <td>{one.scope}</td>
                  <td class="n strong">{observed(one)}</td>
                  <td class="n">{margin(one)}</td>
                  <td class="n">{one.first_breach_s === null ? fmt.NONE : fmt.clock(one.first_breach_s)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

export function Events({ run }: { run: Run }) {
  return (
    <Panel title="Events">
      {run.events.length === 0 ? <p class="empty">Nothing happened yet.</p> : (
        <div class="scroll" role="region" aria-label="Events" tabIndex={0}>
          <table class="events">
            <thead class="hidden">
              <tr><th scope="col">time</th><th scope="col">kind</th><th scope="col">what happened</th></tr>
            </thead>
            <tbody>
              {run.events.map((event, i) => [event, i] as const).reverse().map(([event, i]) => {
                const { sign, bad } = eventLook(event.kind);
                return (
                  <tr key={i} class={bad ? "warn" : ""}>
                    <td class="n">{event.second === null ? fmt.NONE : fmt.clock(event.second)}</td>
                    <td class="sign"><span aria-hidden="true">{sign}</span><span class="hidden">{event.kind}</span></td>
                    <td class="wrap">{event.text}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

export function Steps({ summary }: { summary: Summary }) {
  return (
    <Panel title="Steps" note="ms · response time, service time in the last two columns">
      <div class="scroll" role="region" aria-label="Steps" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">step</th><th scope="col" class="n">sent</th><th scope="col" class="n">errors</th>
              {["p50", "p95", "p99", "p99.9", "max", "mean", "service p50", "service p99"].map((name) => (
                <th scope="col" class="n" key={name}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {summary.steps.map(({ name, requests, response_time_ms: r, service_time_ms: s }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="n">{fmt.count(requests.sent)}</td>
                <td class="n">{fmt.text(fmt.percent(requests.sent > 0 ? requests.failed / requests.sent : null))}</td>
                {[r?.p50, r?.p95, r?.p99, r?.p99_9, r?.max, r?.mean, s?.p50, s?.p99].map((value, i) => (
                  <td class={i === 2 ? "n strong" : "n"} key={i}>{fmt.ms(value)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
