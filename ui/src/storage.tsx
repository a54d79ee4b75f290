// How storing goes: a quiet line while all is well, and what to do about it when it is not. Which is which says the server.

import * as api from "./api";
import type { Storage } from "./api";
import * as fmt from "./format";
import { usePolled } from "./page";

const POLL_MS = 2000;

/** Storage as it is asked for, where no stream tells of it; of a run that is over, only while there is something to tell. */
export function StorageNow({ whenWell = false }: { whenWell?: boolean }) {
  const { value } = usePolled(api.storage, POLL_MS, []);
  const tells = value !== null && (whenWell || value.troubles.length > 0 || (value.events?.lag_batches ?? 0) > 0);
  return tells ? <StorageLine storage={value} /> : null;
}

export function StorageLine({ storage }: { storage: Storage }) {
  const { troubles, events } = storage;
  const [first, ...rest] = troubles;
  const collectors = events?.collectors ?? [];
  if (!first && !events) return null;
  return (
    <section class={`storage ${first ? "verdict suspect" : "well"}`} aria-label="Storage">
      <span class={first ? "verdict-word" : ""}>
        <span aria-hidden="true">{first ? "▲" : "✓"}</span> {first ? "Storage is in trouble" : "Storage keeps up"}
      </span>
      {first && <span class="said">{fmt.sentence(first.text)}</span>}
      {rest.map((trouble) => <span class="said more" key={trouble.text}>{fmt.sentence(trouble.text)}</span>)}
      <span class="spacer" />
      {events && <span class="note">{behind(events.lag_s, events.lag_batches)}</span>}
      {events && events.set_aside > 0 && <Lost count={events.set_aside} what="not understood and set aside" />}
      {events && events.missing > 0 && <Lost count={events.missing} what="deleted by Kafka before they were read" />}
      {collectors.length > 1 && <Collectors collectors={collectors} />}
    </section>
  );
}

const batches = (count: number): string => `${fmt.count(count)} ${count === 1 ? "batch" : "batches"}`;

function behind(lag_s: number, lag_batches: number): string {
  if (lag_batches === 0) return "all raw events stored";
  return `raw events ${fmt.text(fmt.time(lag_s * 1000))} and ${batches(lag_batches)} behind`;
}

function Lost({ count, what }: { count: number; what: string }) {
  return <span class="fault"><span aria-hidden="true">▲</span> {batches(count)} {what}</span>;
}

/** Those that share the work, each with its part. */
function Collectors({ collectors }: { collectors: api.Collector[] }) {
  return (
    <details>
      <summary>{collectors.length} collectors</summary>
      <div class="scroll" role="region" aria-label="Collectors" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">collector</th><th scope="col" class="n">partitions</th><th scope="col" class="n">events stored</th>
              <th scope="col" class="n">lag</th><th scope="col" class="n">batches behind</th>
            </tr>
          </thead>
          <tbody>
            {collectors.map(({ name, partitions, rows, lag_s, lag_batches }) => (
              <tr key={name}>
                <th scope="row" class="id">{name}</th>
                <td class="n">{fmt.count(partitions)}</td>
                <td class="n">{fmt.count(rows)}</td>
                <td class="n strong">{fmt.text(fmt.time(lag_s * 1000))}</td>
                <td class="n">{fmt.count(lag_batches)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
