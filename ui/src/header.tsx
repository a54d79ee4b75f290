// The line that stays on top: which run, where it stands, and what one can do about it.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { isOver } from "./api";
import type { Run, Stage } from "./api";
import * as fmt from "./format";
import type { Status } from "./live";
import { announce } from "./page";

const SIGNS: Record<Run["state"], string> = {
  created: "○", arming: "◔", armed: "◑", running: "●", draining: "◕", finished: "✓", aborted: "✖", failed: "✖",
};

export function StateBadge({ state }: { state: Run["state"] }) {
  return (
    <span class={`badge ${state}`}>
      <span aria-hidden="true">{SIGNS[state]}</span> {state}
    </span>
  );
}

/** Seconds since the start, by the server's clock; to its end when it is over. */
function elapsed(run: Run, skew: number): number | null {
  if (run.started_at === null) return null;
  const end = run.ended_at === null ? Date.now() + skew : Date.parse(run.ended_at);
  return Math.max(0, (end - Date.parse(run.started_at)) / 1000);
}

/** Whether stages follow one another: those of several loads lie side by side. */
function hasOneLoad(run: Run): boolean {
  return run.stages.every((stage, at) => at === 0 || stage.from_s > 0);
}

/** The stages under way, one of each load; the last one once all are over. */
function stagesNow(run: Run, since: number | null): Stage[] {
  if (since === null) return [];
  const now = run.stages.filter((stage) => stage.from_s <= since && since < stage.to_s);
  return now.length > 0 ? now : run.stages.slice(-1);
}

export function RunHeader({ run, skew, status }: { run: Run; skew: number; status: Status }) {
  const since = elapsed(run, skew);
  const now = stagesNow(run, since);
  return (
    <header class="runbar">
      <div class="runbar-line">
        <h1>{run.plan}</h1>
        <code class="runid" title={run.run_id}>{run.run_id}</code>
        <StateBadge state={run.state} />
        {since !== null && (
          <span class="elapsed">
            <b>{fmt.clock(since)}</b>
            {run.planned_s !== null && <span> / {fmt.clock(run.planned_s)}</span>}
          </span>
        )}
        {now.length > 0 && !isOver(run) && (
          <span class="stage">
            stage {hasOneLoad(run) && `${run.stages.indexOf(now[0]!) + 1}/${run.stages.length} `}
            <b>{now.map((stage) => stage.name).join(", ")}</b>
            {now.every((stage) => stage.warmup) && <em> warm-up</em>}
          </span>
        )}
        {status === "lost" && <span class="badge lost" role="status">▲ connection lost, trying again</span>}
        <span class="spacer" />
        <span class="target" title="target">{run.targets.join(", ")}</span>
        <Controls run={run} />
      </div>
      <Progress run={run} since={since} />
      {run.state_reason && <p class="reason">{run.state_reason}</p>}
    </header>
  );
}

function Progress({ run, since }: { run: Run; since: number | null }) {
  const whole = run.planned_s;
  if (whole === null || whole <= 0 || since === null) return null;
  const share = Math.min(1, since / whole);
  return (
    <svg class="progress" viewBox="0 0 1000 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="progress-rest" width="1000" height="4" />
      <rect class="progress-done" width={share * 1000} height="4" />
      {run.stages.slice(1).map((stage) => (
        <rect class="progress-cut" key={stage.from_s} x={(stage.from_s / whole) * 1000 - 1} width="2" height="4" />
      ))}
    </svg>
  );
}

/** What the state allows: start it, stop it, or abort it. */
function Controls({ run }: { run: Run }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState(false);
  const act = async (verb: "start" | "stop" | "abort"): Promise<void> => {
    setProblem(null);
    setAsked(true);
    try {
      const { state } = await api.control(run.run_id, verb);
      announce(`${verb} was accepted; the run is ${state}.`);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : `${verb} failed`);
    } finally {
      setAsked(false);
    }
  };
  if (isOver(run)) return null;
  return (
    <div class="controls">
      {problem && <span class="fault" role="alert">{problem}</span>}
      {run.state === "created" ? (
        <button type="button" class="primary" disabled={asked} onClick={() => act("start")}>Start</button>
      ) : (
        <StopMenu draining={run.state === "draining"} busy={asked} onPick={act} />
      )}
    </div>
  );
}

function StopMenu(props: { draining: boolean; busy: boolean; onPick: (verb: "stop" | "abort") => void }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: Event): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [open]);
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!open) return;
    const items = [...(root.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape") close();
    else if (event.key === "Tab") setOpen(false);
    else if (to !== undefined) items[(to + items.length) % items.length]?.focus();
    if (event.key === "Escape" || to !== undefined) event.preventDefault();
  };
  const pick = (verb: "stop" | "abort"): void => {
    close();
    props.onPick(verb);
  };
  return (
    <div class="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        ref={button} type="button" class="danger" aria-haspopup="menu" aria-expanded={open} disabled={props.busy}
        onClick={() => setOpen(!open)}
      >
        Stop <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div role="menu" class="menu-items" aria-label="Stop the run">
          {!props.draining && (
            <button type="button" role="menuitem" tabIndex={-1} onClick={() => pick("stop")}>
              <b>Stop</b>
              <span>No new requests; those in flight may finish.</span>
            </button>
          )}
          <button type="button" role="menuitem" tabIndex={-1} onClick={() => pick("abort")}>
            <b>Abort</b>
            <span>End at once; requests in flight are cancelled.</span>
          </button>
        </div>
      )}
    </div>
  );
}
