// The page: navigation, the place in the address, sign-in where the server asks for it.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { token } from "./api";
import { FleetPage } from "./fleet";
import { NewRun } from "./newrun";
import { applyScheme, scheme, setScheme, useRoute } from "./page";
import type { Scheme } from "./page";
import { RunPage } from "./run";
import { Newest, RunsPage } from "./runs";

const PLACES = [["", "Live"], ["runs", "Runs"], ["fleet", "Fleet"], ["new", "New run"]] as const;

function App() {
  const [place = "", run = ""] = useRoute();
  const [signIn, setSignIn] = useState(false);
  useEffect(() => {
    const ask = (): void => setSignIn(true);
    addEventListener("swell-signin", ask);
    return () => removeEventListener("swell-signin", ask);
  }, []);
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>Skip to content</a>
      <nav class="top" aria-label="Main">
        <a class="brand" href="#/">
          <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="7" />
            <path d="M4 21c4 0 5-9 10-9s5 9 14 9" />
          </svg>
          Groundswell
        </a>
        <ul>
          {PLACES.map(([key, name]) => (
            <li key={key}>
              <a href={`#/${key}`} aria-current={place === key || (key === "runs" && place === "run") ? "page" : undefined}>{name}</a>
            </li>
          ))}
        </ul>
        <span class="spacer" />
        <SchemeSwitch />
      </nav>
      {signIn ? <SignIn /> : <Place place={place} run={run} />}
      <div id="say" class="hidden" role="status" aria-live="polite" />
    </>
  );
}

function Place({ place, run }: { place: string; run: string }) {
  if (place === "run" && run) return <RunPage key={run} runId={run} />;
  if (place === "runs") return <RunsPage />;
  if (place === "fleet") return <FleetPage />;
  if (place === "new") return <main id="main"><NewRun /></main>;
  return <Newest />;
}

function toMain(event: Event): void {
  event.preventDefault();
  const main = document.querySelector("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}

function SchemeSwitch() {
  const [now, set] = useState<Scheme>(scheme());
  const choose = (next: Scheme): void => {
    setScheme(next);
    set(next);
  };
  return (
    <span class="choice" role="group" aria-label="Colours">
      {(["auto", "light", "dark"] as const).map((option) => (
        <button key={option} type="button" aria-pressed={option === now} onClick={() => choose(option)}>{option}</button>
      ))}
    </span>
  );
}

function SignIn() {
  const [typed, set] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    token.set(typed.trim());
    location.reload();
  };
  return (
    <main id="main">
      <form class="panel newrun" onSubmit={submit}>
        <div class="panel-head"><h1>Sign in</h1></div>
        <div class="fields">
          <div class="field wide">
            <label for="token">Token</label>
            <div class="input">
              <input id="token" type="password" autocomplete="current-password" value={typed} onInput={(e) => set(e.currentTarget.value)} />
            </div>
            <small class="note">The orchestrator printed it when it first started on this address.</small>
          </div>
        </div>
        <div class="actions"><button type="submit" class="primary">Sign in</button></div>
      </form>
    </main>
  );
}

applyScheme();
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
