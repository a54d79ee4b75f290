// Past runs, newest first, and the page that follows the newest one.

import { useState } from "preact/hooks";
import * as api from "./api";
import type { RunItem } from "./api";
import { FleetPage } from "./fleet";
import * as fmt from "./format";
import { StateBadge } from "./header";
import { NewRun } from "./newrun";
import { usePolled } from "./page";
import { RunPage } from "./run";

const POLL_MS = 3000;

/** The newest run; before the first one, the form that starts it. */
export function Newest() {
  const { value, error } = usePolled(async () => ({ run: await api.newest() }), POLL_MS, []);
  if (value?.run) return <RunPage key={value.run.run_id} runId={value.run.run_id} />;
  if (!value) return <p class={`banner${error ? " bad" : ""}`} role={error ? "alert" : undefined}>{error ?? "Loading …"}</p>;
  return (
    <>
      <section class="welcome">
        <h1>No run yet</h1>
        <p>Start one here, or with <code>swell run</code>. It appears on this page by itself.</p>
        <NewRun heading="h2" />
      </section>
      <FleetPage />
    </>
  );
}

export function RunsPage() {
  const [pages, setPages] = useState<(string | undefined)[]>([undefined]);
  const before = pages[pages.length - 1];
  const { value, error } = usePolled(() => api.runs(before), before ? 0 : POLL_MS, [before]);
  return (
    <main id="main">
      <h1 class="page-title">Runs</h1>
      {error && <p class="banner bad" role="alert">{error}</p>}
      {value && (
        <section class="panel">
          {value.runs.length === 0 ? <p class="empty">No run yet. <a href="#/new">Start one.</a></p> : <Table runs={value.runs} />}
          {(pages.length > 1 || value.next) && (
            <div class="actions">
              <button type="button" disabled={pages.length < 2} onClick={() => setPages(pages.slice(0, -1))}>Newer</button>
              <button type="button" disabled={!value.next} onClick={() => setPages([...pages, value.next ?? undefined])}>Older</button>
            </div>
          )}
        </section>
      )}
    </main>
  );
}

function Table({ runs }: { runs: RunItem[] }) {
  return (
    <div class="scroll" role="region" aria-label="Runs" tabIndex={0}>
      <table class="runs">
        <thead>
          <tr>
            <th scope="col">plan</th><th scope="col">state</th><th scope="col">verdict</th><th scope="col">started</th>
            <th scope="col" class="n">duration</th><th scope="col" class="n">requests</th>
            <th scope="col" class="n">achieved</th><th scope="col" class="n">errors</th><th scope="col" class="n">p99</th>
            <th scope="col">run</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.run_id}>
              <th scope="row"><a href={`#/run/${encodeURIComponent(run.run_id)}`}>{run.plan}</a></th>
              <td><StateBadge state={run.state} /></td>
              <td>{run.verdict && <span class={`badge v-${run.verdict}`}>{run.verdict}</span>}</td>
              <td>{fmt.moment(run.started_at ?? run.created_at)}</td>
              <td class="n">{run.duration_s === null ? fmt.NONE : fmt.clock(run.duration_s)}</td>
              <td class="n">{fmt.count(run.requests_sent)}</td>
              <td class="n">{fmt.text(fmt.rate(run.achieved_per_s))}</td>
              <td class="n">{fmt.text(fmt.percent(run.error_ratio))}</td>
              <td class="n strong">{fmt.text(fmt.time(run.p99_ms))}</td>
              <td class="id note">{run.run_id}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
