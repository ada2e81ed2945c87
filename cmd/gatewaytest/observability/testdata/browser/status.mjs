// Looks at the status page of a running gateway, as somebody with a keyboard
// does, and prints one line of JSON per check.
import { createRequire } from "node:module";

const { ADMIN_URL: admin, GATEWAY_URL: gateway, GATEWAY_KEY: key, BROWSER_MODULES: modules } = process.env;
const { chromium } = createRequire(modules + "/")("playwright-core");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const page = await context.newPage();
page.setDefaultTimeout(15000);
const complaints = [], asked = new Set();
page.on("console", (m) => {
  const refused = m.text().includes("401 (Unauthorized)") && m.location().url.endsWith("/status/events"); // the browser's own line of a wrong key
  if (["error", "warning"].includes(m.type()) && !refused) complaints.push(m.text());
});
page.on("pageerror", (e) => complaints.push(String(e)));
page.on("request", (r) => asked.add(r.url()));

async function check(name, f) {
  let error = "";
  try { await f(); } catch (e) { error = String(e.message || e); }
  console.log(JSON.stringify({ Check: name, Error: error }));
}

function must(holds, what) { if (!holds) throw new Error(what); }
const text = (selector) => page.locator(selector).innerText();

async function chat(model, content) {
  const answer = await fetch(`${gateway}/v1/chat/completions`, {
    method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }] }),
  });
  await answer.text();
  return answer.status;
}

await check("without the key there is a form and no figure", async () => {
  await page.goto(admin + "/");
  await page.waitForSelector("#gate:visible");
  must(await page.locator("#board").isHidden(), "the board is shown");
  must(await page.evaluate(() => document.activeElement.id) === "key", "the field has no focus");
});

await check("a wrong key is told", async () => {
  await page.keyboard.type("sk-wrong");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("gate-error").textContent.includes("does not take this key"));
  must(await page.getAttribute("#key", "aria-invalid") === "true", "the field is not marked");
  must(await page.evaluate(() => sessionStorage.length) === 0, "the wrong key is kept");
});

await check("the right key opens the board", async () => {
  await page.keyboard.type(key);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".deployments .item");
  must(await page.locator("#gate").isHidden(), "the form stays");
  must(await text("#live") === "Live", "it is not live");
  must(![...asked].some((u) => u.includes(key)), "the key is in an address");
});

await check("a reload keeps the key within the tab", async () => {
  await page.reload();
  await page.waitForSelector(".deployments .item");
});

await check("a deployment that failed cools, with cause and countdown", async () => {
  const row = page.locator(".deployments .item.cooling");
  must(await row.count() === 1, `${await row.count()} deployments cool`);
  const state = row.locator(".state");
  must(/Cooling \d:\d\d min · 500 /.test(await state.innerText()), `it says ${await state.innerText()}`);
  const before = await state.innerText();
  await page.waitForFunction((old) => document.querySelector(".item.cooling .state").innerText !== old, before);
});

await check("quotas show what is used of them", async () => {
  const row = await page.locator(".deployments .item.healthy", { hasText: "/ 100" }).innerText();
  must(/\d+ \/ 100/.test(row) && /\d+ \/ 10K/.test(row), row);
});

await check("limits that many requests share show what is used of them", async () => {
  await page.waitForFunction(() => /Caller search[^A-Z]*[12] *\/ 70/.test(document.getElementById("panels").textContent));
  const limits = await text('section[aria-labelledby="panel-limits"]');
  for (const want of [/All requests\s+0 \/ 40\s+running/, /Group m\s+\d+ \/ 9,000\s+tokens\/min/, /Caller search\s+[12] \/ 70\s+requests\/min/]) must(want.test(limits), limits);
});

await check("the cascade shows who would answer now", async () => {
  const line = await text("#name-list");
  must(line.includes("chain") && line.includes("broken") && line.includes("answers now"), line);
});

await check("a request opens to its attempts by keyboard alone", async () => {
  const button = page.locator(".requests .main", { has: page.locator("td:nth-child(5)", { hasText: /^[23]$/ }) }).first().locator(".more");
  await button.focus();
  await page.keyboard.press("Enter");
  must(await button.getAttribute("aria-expanded") === "true", "it is not expanded");
  const attempts = await page.locator(".attempts:visible li").allInnerTexts();
  must(attempts.length >= 2 && attempts.some((a) => /500|refused/.test(a)), attempts.join("\n"));
  await page.keyboard.press("Space");
  must(await page.locator(".attempts:visible").count() === 0, "it does not close");
});

await check("the cache's answer and the unknown model are among the requests", async () => {
  const rows = (await page.locator(".requests .main").allInnerTexts()).join("\n");
  must(/\bhit\b/.test(rows) && /404/.test(rows), rows);
  await page.locator("#request-choice label", { hasText: "Failed" }).click();
  must(await page.locator(".requests .main:visible").count() === 1, "not one has failed");
  await page.locator("#request-choice label", { hasText: "All" }).click();
});

await check("a new request appears by itself", async () => {
  const before = await page.locator(".requests .main").count();
  must(await chat("m", "something else, a secret prompt") === 200, "the gateway does not answer");
  await page.waitForFunction((n) => document.querySelectorAll(".requests .main").length === n + 1, before);
});

await check("a pause holds the page still, and its end catches up", async () => {
  await page.locator("#pause").click();
  const before = await page.locator(".requests .main").count();
  must(await text("#live") === "Paused", "it does not say so");
  await chat("m", "while it is paused");
  await page.waitForTimeout(2500); // that nothing comes can only be waited for
  must(await page.locator(".requests .main").count() === before, "it goes on");
  await page.locator("#pause").click();
  await page.waitForFunction((n) => document.querySelectorAll(".requests .main").length === n + 1, before);
});

await check("the keyboard reaches all, from the skip link on, and its focus shows", async () => {
  await page.reload();
  await page.waitForSelector(".deployments .item");
  const reached = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement, ring = getComputedStyle(e.matches(".choice input") ? e.parentElement : e);
      return { name: e.id || e.className || e.name, shows: ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2 };
    });
    reached.push(at.name);
    must(at.shows, `the focus on ${at.name} does not show`);
  }
  for (const name of ["skip", "pause", "forget", "deployment-search", "fold"]) must(reached.includes(name), `${name} is not among ${reached}`);
});

await check("the filter finds and says when it finds nothing", async () => {
  await page.locator("#deployment-search").fill("broken");
  must(await page.locator(".deployments .item:visible").count() === 1, "it finds another number than one");
  await page.locator("#deployment-search").fill("no such thing");
  must(await page.locator("#deployment-empty").isVisible(), "it says nothing");
  await page.locator("#deployment-search").fill("");
});

await check("dark is dark", async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
  must(await ground() > 200, "light is not light");
  await page.emulateMedia({ colorScheme: "dark" });
  must(await ground() < 40, "dark is not dark");
});

await check("no prompt, key or address is in the data", async () => {
  const body = await (await fetch(`${admin}/status/snapshot`, { headers: { Authorization: `Bearer ${key}` } })).text();
  must(body.includes('"attempts"'), body);
  for (const secret of ["secret prompt", "sk-provider", key, "127.0.0.1", "http://"]) must(!body.includes(secret), `${secret} is in it`);
  const bare = await fetch(`${admin}/status/snapshot`);
  must(bare.status === 401, `without a key: ${bare.status}`);
});

await check("forgetting the key locks the page", async () => {
  await page.locator("#forget").click();
  await page.waitForSelector("#gate:visible");
  must(await page.locator("#board").isHidden() && await page.evaluate(() => sessionStorage.length) === 0, "something stays");
});

await check("no other origin is asked, and the console is silent", async () => {
  const others = [...asked].filter((u) => !u.startsWith(admin + "/") && !u.startsWith("data:"));
  must(others.length === 0, others.join("\n"));
  must(complaints.length === 0, complaints.join("\n"));
});
await browser.close();
