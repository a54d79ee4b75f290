// Numbers as people read them: three significant digits, a unit everywhere, and a dash for what was not measured.

export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits without an exponent: 0.842, 12.3, 1,240. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return whole.format(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  if (size === 0) return "0";
  return value.toFixed(Math.min(5, 2 - Math.floor(Math.log10(size))));
}

export const count = (value: number | null | undefined): string => (value == null ? NONE : whole.format(value));

/** A number and its unit, apart, so that the unit can be set smaller. */
export type Quantity = readonly [string, string];

const scaled = (value: number, steps: readonly (readonly [number, string])[]): Quantity => {
  for (const [size, unit] of steps) if (Math.abs(value) >= size) return [digits(value / size), unit];
  const last = steps[steps.length - 1];
  return last ? [digits(value / last[0]), last[1]] : [digits(value), ""];
};

export const rate = (value: number | null | undefined): Quantity =>
  value == null ? [NONE, ""] : scaled(value, [[1e6, "M/s"], [1e4, "k/s"], [1, "/s"]]);

/** Milliseconds in the unit that fits. */
export const time = (ms: number | null | undefined): Quantity =>
  ms == null ? [NONE, ""] : ms > 0 && ms < 0.1 ? [digits(ms * 1000), "µs"] : scaled(ms, [[1000, "s"], [1, "ms"]]);

export const bytes = (value: number | null | undefined): Quantity =>
  value == null ? [NONE, ""] : scaled(value, [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]]);

export const percent = (ratio: number | null | undefined): Quantity =>
  ratio == null ? [NONE, ""] : [ratio > 0 && ratio < 0.00005 ? "<0.01" : ratio === 1 ? "100" : digits(ratio * 100), "%"];

export const text = ([value, unit]: Quantity): string => (unit === "" ? value : `${value} ${unit}`);

/** Milliseconds without their unit, for columns that name it. */
export const ms = (value: number | null | undefined): string => (value == null ? NONE : digits(value));

/** 754 s as 12:34, 5025 s as 1:23:45. */
export function clock(seconds: number): string {
  const all = Math.max(0, Math.floor(seconds));
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(all / 3600);
  const rest = `${two(Math.floor(all / 60) % 60)}:${two(all % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

const day = new Intl.DateTimeFormat("en", {
  year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
});

export const moment = (iso: string | null): string => (iso ? day.format(new Date(iso)) : NONE);

/** An age as "0.8 s" or "3 min". */
export function age(milliseconds: number): string {
  const s = Math.max(0, milliseconds) / 1000;
  if (s < 100) return `${s.toFixed(1)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`;
}

/** A phrase of the server as a sentence: with a capital and a full stop. */
export const sentence = (phrase: string): string =>
  phrase.charAt(0).toUpperCase() + phrase.slice(1) + (/[.!?…]$/.test(phrase) ? "" : ".");
