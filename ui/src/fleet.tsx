// The fleet as its heartbeats tell it.

import * as api from "./api";
import type { Driver } from "./api";
import * as fmt from "./format";
import { usePolled } from "./page";
import { StorageNow } from "./storage";

/** Two missing heartbeats, at one a second. */
const MISSING_MS = 2500;
const POLL_MS = 2000;

export function FleetPage() {
  return (
    <main id="main">
      <h1 class="page-title">Fleet</h1>
      <StorageNow whenWell />
      <FleetNow title="Drivers" />
    </main>
  );
}

/** The fleet as it is asked for, where no stream tells of it. */
export function FleetNow({ title = "Fleet now" }: { title?: string }) {
  const read = async (): Promise<{ drivers: Driver[]; at: number }> => ({ drivers: await api.drivers(), at: performance.now() });
  const { value, error } = usePolled(read, POLL_MS, []);
  return (
    <>
      {error && <p class="banner bad" role="alert">{error}</p>}
      {value && <Fleet drivers={value.drivers} heardAt={value.at} title={title} />}
    </>
  );
}

export function Fleet({ drivers, heardAt, title }: { drivers: Driver[]; heardAt: number; title: string }) {
  const since = Math.max(0, performance.now() - heardAt);
  const late = drivers.filter(isLate).length;
  return (
    <section class="panel">
      <div class="panel-head">
        <h2>{title}</h2>
        <span class="note">
          {drivers.length} {drivers.length === 1 ? "driver" : "drivers"}
          {late > 0 && <strong class="fault"> · ▲ {late} without heartbeat</strong>}
        </span>
      </div>
      {drivers.length === 0 ? (
        <p class="empty">No driver has joined. Start one with <code>swell driver</code>.</p>
      ) : (
        <div class="scroll" role="region" aria-label={title} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">driver</th><th scope="col">state</th><th scope="col" class="n">heartbeat</th>
                <th scope="col" class="n">requests sent</th><th scope="col" class="n">cores</th>
                <th scope="col" class="n">CPU</th><th scope="col" class="n">memory</th>
                <th scope="col" class="n">send lag p99</th><th scope="col" class="n">sockets</th>
                <th scope="col" class="n">clock offset</th><th scope="col">version</th><th scope="col">address</th>
              </tr>
            </thead>
            <tbody>
              {drivers.map((driver) => <DriverRow key={driver.node_id} driver={driver} since={since} />)}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** As the server saw it: a stream that fell silent says nothing about the drivers. */
const isLate = ({ heartbeat_age_ms: age }: Driver): boolean => age !== null && age > MISSING_MS;

function DriverRow({ driver, since }: { driver: Driver; since: number }) {
  const late = isLate(driver);
  const lag = driver.send_lag_p99_us;
  return (
    <tr class={late || /lost|suspect|unsynchronised/.test(driver.state) ? "warn" : ""}>
      <th scope="row" class="id">{driver.node_id}</th>
      <td title={driver.reason ?? undefined}>{driver.state}{driver.reason && <span class="note"> {driver.reason}</span>}{driver.zone && <span class="note"> {driver.zone}</span>}</td>
      <td class="n">
        {late && <span aria-label="late">▲ </span>}
        {driver.heartbeat_age_ms === null ? fmt.NONE : fmt.age(driver.heartbeat_age_ms + since)}
      </td>
      <td class="n strong">{fmt.count(driver.requests_sent)}</td>
      <td class="n">{fmt.count(driver.cores)}</td>
      <td class="n">{driver.cpu_percent === null ? fmt.NONE : `${fmt.digits(driver.cpu_percent)} %`}</td>
      <td class="n">{fmt.text(fmt.bytes(driver.memory_bytes))}</td>
      <td class="n">{fmt.text(fmt.time(lag === null ? null : lag / 1000))}</td>
      <td class="n">{fmt.count(driver.open_sockets)}</td>
      <td class="n">{clockOffset(driver)}</td>
      <td>{driver.version ?? fmt.NONE}</td>
      <td>{driver.address}</td>
    </tr>
  );
}

function clockOffset({ clock_offset_ms: offset, clock_error_ms: error }: Driver): string {
  if (offset === null) return fmt.NONE;
  const sign = offset > 0 ? "+" : "";
  return `${sign}${offset.toFixed(1)}${error === null ? "" : ` ± ${error.toFixed(1)}`} ms`;
}
