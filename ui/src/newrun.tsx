// The basic form. The server judges it, also while one types; every fault it finds is shown at its field.

import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "./api";
import type { Checked, Fault, Problem } from "./api";
import * as fmt from "./format";
import { sentence } from "./format";
import { announce } from "./page";

interface Field {
  name: string;
  label: string;
  hint: string;
  initial: string;
  unit?: string;
  inputmode?: "numeric" | "decimal" | "url";
  only?: "TSUNAMI";
}

const FIELDS: Field[] = [
  { name: "target", label: "Target", hint: "The address every request goes to.", initial: "http://127.0.0.1:7701/ping", inputmode: "url" },
  { name: "message_count_per_driver", label: "Requests per driver", hint: "Each driver sends this many.", initial: "10000", inputmode: "numeric" },
  { name: "test_message_delay", label: "Delay between requests", unit: "ms", hint: "Of one driver; 5 means 200 requests a second.", initial: "5", inputmode: "decimal", only: "TSUNAMI" },
  { name: "target_throughput_per_driver", label: "Throughput limit per driver", unit: "/s", hint: "Empty or 0: no limit.", initial: "", inputmode: "decimal" },
];

const TYPES = [
  { value: "AVALANCHE", name: "Avalanche", text: "As fast as the connections allow, each waiting for its answer." },
  { value: "TSUNAMI", name: "Tsunami", text: "On a fixed schedule, whatever the target does." },
] as const;

type TestType = (typeof TYPES)[number]["value"];

/** What was typed, as JSON: a number where it reads as one, else the text, for the server to judge. */
function typed(raw: string): unknown {
  const text = raw.trim();
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

function body(type: TestType, values: Record<string, string>): Record<string, unknown> {
  const made: Record<string, unknown> = { test_type: type };
  for (const field of FIELDS) {
    if (field.only && field.only !== type) continue;
    const text = (values[field.name] ?? "").trim();
    if (text !== "" || field.name !== "target_throughput_per_driver") made[field.name] = typed(text);
  }
  return made;
}

const CHECK_AFTER_MS = 350;

/** What the server says of the form as it stands, a moment after the last key. */
function useCheck(type: TestType, values: Record<string, string>): { checked: Checked | null; faults: Fault[]; ready: number | null } {
  const [found, set] = useState<{ checked: Checked | null; faults: Fault[]; ready: number | null }>({ checked: null, faults: [], ready: null });
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(async () => {
      const fleet = await api.drivers().catch(() => null);
      const ready = fleet?.filter((driver) => driver.state !== "lost").length ?? null;
      const result = await api.check(body(type, values)).then(
        (checked) => ({ checked, faults: [] }),
        (error) => ({ checked: null, faults: error instanceof api.Refused ? error.problem.errors ?? [] : [] }),
      );
      if (!gone) set({ ...result, ready });
    }, CHECK_AFTER_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [type, values]);
  return found;
}

function Preview({ checked, ready }: { checked: Checked | null; ready: number | null }) {
  const drivers = ready ?? 0;
  const rate = checked?.planned_per_s ?? null;
  const all = (one: number | null): number | null => (one === null ? null : one * (checked?.per_driver ? drivers : 1));
  const rows: [string, string][] = [
    ["drivers ready", ready === null ? fmt.NONE : fmt.count(drivers)],
    ["requests of each", checked ? fmt.count(checked.iterations) : fmt.NONE],
    ["requests in all", checked ? fmt.count(all(checked.iterations)) : fmt.NONE],
    ["rate of each", checked && rate === null ? "unlimited" : fmt.text(fmt.rate(rate))],
    ["rate in all", checked && rate === null ? "unlimited" : fmt.text(fmt.rate(all(rate)))],
    ["lasts", checked ? (checked.duration_s === null ? "until done" : fmt.clock(Math.ceil(checked.duration_s))) : fmt.NONE],
  ];
  return (
    <aside class="panel preview" aria-label="What this run will do">
      <div class="panel-head"><h2>What it will do</h2></div>
      <dl>{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      {ready === 0 && <p class="fault">▲ No driver has joined yet: the run would wait for one and fail.</p>}
    </aside>
  );
}

export function NewRun({ heading = "h1" }: { heading?: "h1" | "h2" }) {
  const [type, setType] = useState<TestType>("TSUNAMI");
  const [values, setValues] = useState<Record<string, string>>(() =>
    Object.fromEntries(FIELDS.map((field) => [field.name, field.initial])));
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const Heading = heading;
  const [refusedFor, setRefusedFor] = useState<Record<string, string> | null>(null);
  const [touched, setTouched] = useState<ReadonlySet<string>>(new Set());
  const { checked, faults: found, ready } = useCheck(type, values);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const { run_id } = await api.create(body(type, values));
      announce("The run was created.");
      location.hash = `#/run/${encodeURIComponent(run_id)}`;
    } catch (error) {
      const refused = error instanceof api.Refused ? error.problem : { type: "about:blank", title: "The call failed", status: 0 };
      setProblem(refused);
      setRefusedFor(values);
      announce(`Not accepted: ${refused.errors?.length ?? 1} faults.`);
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
    } finally {
      setBusy(false);
    }
  };

  const faults = problem?.errors ?? [];
  // Once something was typed after the refusal: the faults of now, at the fields that were touched or refused.
  const refused = new Set(faults.map((fault) => fault.field));
  const of = (name: string): Fault[] =>
    refusedFor === values
      ? faults.filter((fault) => fault.field === name)
      : found.filter((fault) => fault.field === name && (touched.has(name) || refused.has(name)));
  const known = new Set(["test_type", ...FIELDS.map((field) => field.name)]);
  const others = faults.filter((fault) => !fault.field || !known.has(fault.field));

  return (
    <div class="newrun-columns">
    <form class="panel newrun" ref={form} onSubmit={submit} noValidate>
      <div class="panel-head"><Heading>New run</Heading></div>
      <fieldset aria-describedby={of("test_type").length > 0 ? "fault-test_type" : undefined}>
        <legend>Test type</legend>
        <div class="types">
          {TYPES.map(({ value, name, text }) => (
            <label key={value} class="type">
              <input type="radio" name="test_type" value={value} checked={type === value} onChange={() => setType(value)} />
              <span><b>{name}</b><small>{text}</small></span>
            </label>
          ))}
        </div>
        <Faults id="fault-test_type" faults={of("test_type")} />
      </fieldset>
      <div class="fields">
        {FIELDS.filter((field) => !field.only || field.only === type).map((field) => (
          <Input
            key={field.name} field={field} faults={of(field.name)} value={values[field.name] ?? ""}
            onInput={(value) => {
              setValues((before) => ({ ...before, [field.name]: value }));
              setTouched((before) => new Set(before).add(field.name));
            }}
          />
        ))}
      </div>
      {problem && (faults.length === 0 || others.length > 0) && (
        <div class="fault block" role="alert">
          <b>{problem.title}</b>
          {problem.detail && <p>{sentence(problem.detail)}</p>}
          {others.map((fault, i) => <p key={i}>{sentence(fault.message)}{fault.help && ` ${sentence(fault.help)}`}</p>)}
        </div>
      )}
      <div class="actions">
        <button type="submit" class="primary" disabled={busy}>{busy ? "Starting …" : "Start run"}</button>
        <span class="note">Every driver that is ready takes part.</span>
      </div>
    </form>
    <Preview checked={checked} ready={ready} />
    </div>
  );
}

function Input(props: { field: Field; value: string; faults: Fault[]; onInput: (value: string) => void }) {
  const { field, value, faults } = props;
  const id = `f-${field.name}`;
  return (
    <div class={`field${field.name === "target" ? " wide" : ""}`}>
      <label for={id}>{field.label}</label>
      <div class="input">
        <input
          id={id} name={field.name} value={value} inputMode={field.inputmode} autocomplete="off" spellcheck={false}
          aria-invalid={faults.length > 0} aria-describedby={`${id}-hint fault-${field.name}`}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
        {field.unit && <span class="unit">{field.unit}</span>}
      </div>
      <small id={`${id}-hint`} class="note">{field.hint}</small>
      <Faults id={`fault-${field.name}`} faults={faults} />
    </div>
  );
}

function Faults({ id, faults }: { id: string; faults: Fault[] }) {
  return (
    <div id={id} class="fault">
      {faults.map((fault, i) => (
        <p key={i}><span aria-hidden="true">▲ </span>{sentence(fault.message)}{fault.help && <span class="help"> {sentence(fault.help)}</span>}</p>
      ))}
    </div>
  );
}
