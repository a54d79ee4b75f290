// The page in a real browser against the stand-in: what a real run cannot be made to show at will, and what holds for
// every state: no accessibility violation, nothing from elsewhere, nothing wider than the screen.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { browser, open, violations } from "./browser.mjs";
import { start } from "./fixture.mjs";

describe("the page", () => {
  let chromium, site;
  before(async () => {
    chromium = await browser();
    site = await start();
  });
  after(async () => {
    await chromium?.close();
    site?.stop();
  });

  const run = (kind) => `${site.url}#/run/01JD8K-${kind}`;

  for (const [name, place] of [["live", ""], ["over", "#/run/01JD8K-done"], ["lost driver", "#/run/01JD8K-bad"],
    ["runs", "#/runs"], ["fleet", "#/fleet"], ["form", "#/new"]]) {
    for (const scheme of ["light", "dark"]) {
      test(`${name} in ${scheme} has no violation of WCAG 2.2 A and AA`, async () => {
        const { page, close } = await open(chromium, site.url + place, { colorScheme: scheme });
        await page.waitForSelector("main, .runbar");
        await page.waitForTimeout(600);
        assert.deepEqual(await violations(page), []);
        await close();
      });
    }
  }

  test("nothing is asked of another origin and nothing is refused by the policy", async () => {
    const { page, errors, foreign, close } = await open(chromium, site.url);
    await page.waitForSelector(".chart canvas");
    await page.waitForTimeout(1200);
    assert.deepEqual(foreign, []);
    assert.deepEqual(errors, []);
    await close();
  });

  test("a phone shows one column and scrolls in one direction", async () => {
    const { page, close } = await open(chromium, site.url, { viewport: { width: 360, height: 800 } });
    await page.waitForSelector(".tile");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await close();
  });

  test("a refresh shows the same picture", async () => {
    const { page, close } = await open(chromium, run("done"));
    const read = async () => {
      await page.waitForSelector(".percentiles");
      await page.waitForFunction(() => document.body.textContent.includes("Steps"));
      return page.locator("main").innerText();
    };
    const first = (await read()).replace(/heartbeat[\s\S]*/, "");
    await page.reload();
    assert.equal((await read()).replace(/heartbeat[\s\S]*/, ""), first);
    await close();
  });

  test("what is old is greyed and keeps its value", async () => {
    const { page, close } = await open(chromium, run("bad"));
    await page.waitForSelector(".tiles:not(.stale)");
    const before = await page.locator(".figure").first().innerText();
    await page.waitForSelector(".tiles.stale", { timeout: 8000 });
    assert.equal(await page.locator(".figure").first().innerText(), before);
    await close();
  });

  test("seconds that nobody reported are a gap in the table, not zero", async () => {
    const { page, close } = await open(chromium, run("bad"));
    await page.locator(".chart").first().getByRole("button", { name: "Show as table" }).click();
    const row = page.getByRole("row", { name: /^01:35/ });
    assert.deepEqual(await row.getByRole("cell").allInnerTexts(), ["500 /s", "–", "–", "–"]);
    await close();
  });

  test("a driver without heartbeats and the verdict are told in words", async () => {
    const { page, close } = await open(chromium, run("bad"));
    await page.getByText("Generators suspect").waitFor();
    await page.getByText("1 without heartbeat").waitFor();
    await page.getByText("Driver driver-c019 was lost").waitFor();
    await page.getByText("could not keep up with driver-a7f2").waitFor();
    await page.getByText("2 more").click();
    await page.getByText("driver-a7f2 sent late in 4 seconds").waitFor();
    await page.getByText("refused connections of driver-a7f2").waitFor();
    await close();
  });

  test("storage is a quiet line while it keeps up, with the collectors on demand", async () => {
    const { page, close } = await open(chromium, site.url);
    const line = page.getByRole("region", { name: "Storage" });
    await line.getByText("Storage keeps up").waitFor();
    assert.match(await line.innerText(), /raw events 310 ms and 4 batches behind/);
    assert.equal(await page.locator(".storage.verdict").count(), 0);
    await line.getByText("2 collectors").click();
    const row = line.getByRole("row", { name: /^collector-node-7-1188/ });
    assert.deepEqual(await row.getByRole("cell").allInnerTexts(), ["2", "598,310", "120 ms", "1"]);
    assert.deepEqual(await violations(page), []);
    await close();
  });

  test("a store that refuses is told with its reason and since when, and spoken once", async () => {
    const { page, close } = await open(chromium, run("bad"), { viewport: { width: 360, height: 800 } });
    const line = page.getByRole("region", { name: "Storage" });
    await line.getByText("Storage is in trouble").waitFor();
    const said = await line.innerText();
    assert.match(said, /not been stored for 12 s, and wait in Kafka: postgres:[^]*Connection refused/);
    assert.match(said, /Kafka deletes events in 95 s/);
    assert.match(said, /raw events 12\.4 s and 4,210 batches behind/);
    assert.match(said, /1 batch not understood and set aside/);
    assert.match(await page.locator("#say").innerText(), /^Raw events have not been stored/);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await close();
  });

  test("thresholds say what they came to, and where there are none nothing is said", async () => {
    const { page, close } = await open(chromium, run("bad"));
    const rows = page.locator("section", { has: page.getByRole("heading", { name: "Thresholds" }) });
    await rows.locator("tbody tr").nth(1).waitFor();
    assert.match(await rows.innerText(), /1 pass · 1 fail · 0 no data · so far/);
    assert.match(await rows.locator("tr.warn").innerText(), /error_rate of "POST \/api\/cart" < 0\.5%[\s\S]*FAIL[\s\S]*0\.830 %[\s\S]*1:37/);
    await close();
    const short = await open(chromium, run("short"));
    await short.page.waitForSelector(".percentiles");
    assert.equal(await short.page.getByRole("heading", { name: "Thresholds" }).count(), 0);
    await short.close();
  });

  test("a run of 1.4 s draws its points and says how long it was", async () => {
    const { page, close } = await open(chromium, run("short"));
    await page.getByText("the run lasted 1.40 s").waitFor();
    await close();
  });

  test("arrow keys move through time and the value is spoken", async () => {
    const { page, close } = await open(chromium, run("done"));
    await page.locator("figure.chart").first().focus();
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.getElementById("say").textContent.startsWith("00:00: planned"));
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.getElementById("say").textContent.startsWith("00:01: planned"));
    assert.equal(await page.locator(".legend .when").nth(1).innerText(), "00:01");
    await close();
  });

  test("all faults of the form are shown at their fields", async () => {
    const { page, close } = await open(chromium, `${site.url}#/new`);
    await page.fill("[name=target]", "nowhere");
    await page.fill("[name=message_count_per_driver]", "-3");
    await page.fill("[name=test_message_delay]", "soon");
    await page.getByRole("button", { name: "Start run" }).click();
    await page.waitForSelector("[aria-invalid=true]");
    for (const field of ["target", "message_count_per_driver", "test_message_delay"]) {
      assert.notEqual(await page.locator(`#fault-${field}`).innerText(), "");
    }
    assert.deepEqual(await violations(page), []);
    await close();
  });

  test("the run is stopped from the menu, with the keyboard alone", async () => {
    const { page, close } = await open(chromium, site.url);
    await page.getByRole("button", { name: "Stop" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector("[role=menu]");
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.getByText("draining").first().waitFor();
    assert.ok(site.requests.includes("POST /api/v1/runs/01JD8K-live/stop"));
    await close();
  });
});
