// The page over the real program: `swell demo`, with its target, orchestrator and three drivers in one process.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { browser, open, violations } from "./browser.mjs";

const BINARY = process.env.SWELL_BIN ?? fileURLToPath(new URL("../../target/debug/swell", import.meta.url));

/** Starts the demo and waits for the address of its dashboard. */
function demo() {
  const child = spawn(BINARY, ["demo", "--linger", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"] });
  const found = { child, url: "", target: "" };
  return new Promise((resolve, reject) => {
    let said = "";
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`the demo ended with ${code}: ${said}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        said += chunk;
        found.url ||= said.match(/dashboard on (http:\S+)/)?.[1] ?? "";
        found.target ||= said.match(/target on (http:[^\s,]+)/)?.[1] ?? "";
        if (found.url && found.target) resolve(found);
      });
    }
  });
}

describe("the page over a real run", () => {
  let chromium, site;
  before(async () => {
    site = await demo();
    chromium = await browser();
  });
  after(async () => {
    await chromium?.close();
    site?.child.kill("SIGINT");
  });

  const api = async (path) => (await fetch(`${site.url}/api/v1/${path}`)).json();

  test("a run is seen while it goes on, and numbers move", async () => {
    const { page, errors, foreign, close } = await open(chromium, site.url);
    await page.locator(".badge.running").waitFor({ timeout: 20_000 });
    await page.locator(".percentiles td").first().waitFor();
    const sent = () => page.locator("main").getByText(/[\d,]+ sent$/).first().innerText();
    const before = await sent();
    await page.waitForTimeout(2500);
    assert.notEqual(await sent(), before);
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
    await close();
  });

  test("a viewer who comes late sees the run from its start", async () => {
    const { page, close } = await open(chromium, site.url);
    await page.locator(".chart").first().getByRole("button", { name: "Show as table" }).click();
    await page.getByRole("row", { name: /^00:00/ }).waitFor();
    await close();
  });

  test("the stored result says the same as the summary of the API", async () => {
    const { page, close } = await open(chromium, site.url);
    await page.locator(".badge.finished").waitFor({ timeout: 60_000 });
    const id = (await api("runs?limit=1")).runs[0].run_id;
    const summary = await api(`runs/${id}/summary`);
    await page.goto(`${site.url}/#/run/${id}`);
    await page.getByRole("heading", { name: "Steps" }).waitFor();
    const tile = page.locator(".tile", { has: page.getByRole("heading", { name: "requests" }) });
    assert.equal(await tile.locator("b").innerText(), summary.requests.sent.toLocaleString("en"));
    for (const { name } of summary.steps) await page.getByRole("rowheader", { name }).waitFor();
    assert.equal(summary.accounting.balanced, true);
    await close();
  });

  test("the form starts a run, its faults come from the server, and a stop ends it", async () => {
    const { page, close } = await open(chromium, `${site.url}/#/new`);
    await page.fill("[name=target]", "nowhere");
    await page.fill("[name=message_count_per_driver]", "0");
    await page.getByRole("button", { name: "Start run" }).click();
    await page.waitForSelector("#f-target[aria-invalid=true]");
    await page.waitForSelector("#f-message_count_per_driver[aria-invalid=true]");
    await page.fill("[name=target]", `${site.target}/ping`);
    await page.fill("[name=message_count_per_driver]", "20000");
    await page.getByRole("button", { name: "Start run" }).click();
    await page.locator(".badge.running").waitFor({ timeout: 20_000 });
    await page.getByText(/^of .* planned$/).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("menuitem", { name: /Stop/ }).click();
    await page.locator(".badge.finished, .badge.aborted").waitFor({ timeout: 40_000 });
    await page.goto(`${site.url}/#/runs`);
    await page.locator("table.runs tbody tr").nth(1).waitFor();
    await close();
  });

  test("200 viewers get the same seconds, and the drivers notice nothing", async () => {
    const form = { test_type: "TSUNAMI", test_message_delay: 10, message_count_per_driver: 700, target: `${site.target}/ping` };
    const made = await fetch(`${site.url}/api/v1/runs?start=true`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(form),
    });
    const { run_id } = await made.json();
    const viewers = await Promise.all(Array.from({ length: 200 }, () => fetch(`${site.url}/api/v1/runs/${run_id}/live`)));
    const texts = await Promise.all(viewers.map((viewer) => viewer.text()));
    const { accounting } = await api(`runs/${run_id}/summary`);
    assert.equal(accounting.requests_sent, 2100);
    for (const text of texts) assert.ok(text.includes("event: snapshot") && text.endsWith("event: end\ndata: {}\n\n"));
    const tail = (text) => text.slice(text.lastIndexOf("event: delta"));
    assert.equal(new Set(texts.map(tail)).size, 1);
  });
});
