// What all parts of the page share: the one live region, the colour scheme, and the place in the address.

import { useEffect, useState } from "preact/hooks";

/** Says a sentence through the page's one polite live region. */
export function announce(sentence: string): void {
  const region = document.getElementById("say");
  if (region) region.textContent = sentence;
}

export type Scheme = "auto" | "light" | "dark";
const SCHEME = "swell-scheme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export function scheme(): Scheme {
  const kept = localStorage.getItem(SCHEME);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function setScheme(next: Scheme): void {
  if (next === "auto") localStorage.removeItem(SCHEME);
  else localStorage.setItem(SCHEME, next);
  applyScheme();
  dispatchEvent(new Event("swell-scheme"));
}

export function applyScheme(): void {
  const wanted = scheme();
  document.documentElement.dataset["scheme"] = wanted === "auto" ? (dark.matches ? "dark" : "light") : wanted;
}

dark.addEventListener("change", () => {
  applyScheme();
  dispatchEvent(new Event("swell-scheme"));
});

/** The scheme in force; canvases are drawn anew when it changes. */
export function useTheme(): string {
  const read = (): string => document.documentElement.dataset["scheme"] ?? "light";
  const [theme, set] = useState(read);
  useEffect(() => {
    const on = (): void => set(read());
    addEventListener("swell-scheme", on);
    return () => removeEventListener("swell-scheme", on);
  }, []);
  return theme;
}

/** The parts of the address after `#/`. */
export function useRoute(): string[] {
  const read = (): string[] => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  const [route, set] = useState(read);
  useEffect(() => {
    const on = (): void => set(read());
    addEventListener("hashchange", on);
    return () => removeEventListener("hashchange", on);
  }, []);
  return route;
}

/** Renders again every `every_ms` while `on`. */
export function useBeat(on: boolean, every_ms: number): void {
  const [, set] = useState(0);
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => set((n) => n + 1), every_ms);
    return () => clearInterval(timer);
  }, [on, every_ms]);
}

/** Calls `read` now and every `every_ms`, never twice at a time, and keeps what it gave. */
export function usePolled<T>(read: () => Promise<T>, every_ms: number, keys: unknown[]): { value: T | null; error: string | null } {
  const [got, set] = useState<{ value: T | null; error: string | null }>({ value: null, error: null });
  useEffect(() => {
    let gone = false;
    let timer = 0;
    const turn = async (): Promise<void> => {
      try {
        const value = await read();
        if (!gone) set({ value, error: null });
      } catch (error) {
        if (!gone) set((before) => ({ value: before.value, error: error instanceof Error ? error.message : "failed" }));
      }
      if (!gone && every_ms > 0) timer = window.setTimeout(turn, every_ms);
    };
    void turn();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, keys);
  return got;
}
