// Shows the page in each of its guises and prints one line of JSON per check.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const modules = process.env.BROWSER_MODULES;
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

const guises = [
  { name: "light", url: process.env.FEW_URL, width: 1440, height: 1000, colorScheme: "light" },
  { name: "dark", url: process.env.FEW_URL, width: 1440, height: 1000, colorScheme: "dark" },
  { name: "at 1000 pixels", url: process.env.FEW_URL, width: 1000, height: 900, colorScheme: "light" },
  { name: "narrow", url: process.env.FEW_URL, width: 400, height: 850, colorScheme: "light" },
  { name: "narrow and dark", url: process.env.FEW_URL, width: 400, height: 850, colorScheme: "dark" },
  { name: "with 200 deployments", url: process.env.MANY_URL, width: 1440, height: 1000, colorScheme: "light" },
];

async function check(name, f) {
  let error = "";
  try { await f(); } catch (e) { error = String(e.message || e); }
  console.log(JSON.stringify({ Check: name, Error: error }));
}

function must(holds, what) { if (!holds) throw new Error(what); }

for (const guise of guises) {
  const context = await browser.newContext({ viewport: { width: guise.width, height: guise.height }, colorScheme: guise.colorScheme, reducedMotion: "reduce", timezoneId: "UTC" });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") complaints.push(m.text()); });
  page.on("pageerror", (e) => complaints.push(String(e)));
  page.on("request", (r) => { if (!r.url().startsWith(guise.url) && !r.url().startsWith("data:")) complaints.push("asks " + r.url()); });
  await check(`${guise.name}: it is drawn`, async () => {
    await page.goto(guise.url + "/");
    await page.waitForSelector(".deployments .item");
    await page.waitForSelector(".requests .main", { state: "attached" });
    const shown = await page.locator(".deployments .item:visible").count(), all = await page.locator(".deployments .item").count();
    must(shown === all && all >= 9, `${shown} of ${all} deployments are shown`);
    const cut = await page.locator(".deployments .item .model").evaluateAll((nodes) => nodes.filter((n) => n.clientWidth < 40).length);
    must(cut === 0, `the names of ${cut} deployments cannot be read`);
  });
  const folder = process.env.PICTURES, file = guise.name.replaceAll(" ", "-");
  if (folder) await page.screenshot({ path: `${folder}/${file}-top.png` });
  await check(`${guise.name}: a request opens to its attempts`, async () => {
    await page.locator("#request-choice label", { hasText: "Retried" }).click();
    await page.locator(".requests .main:visible .more").first().click();
    must(await page.locator(".attempts li:visible").count() === 2, "there are not two attempts");
    await page.locator("#request-choice label", { hasText: "All" }).click();
  });
  await check(`${guise.name}: nothing sticks out`, async () => {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    must(wide <= 0, `the page is ${wide} pixels too wide`);
  });
  await check(`${guise.name}: axe finds nothing`, async () => {
    const found = await page.evaluate(async (source) => {
      (0, eval)(source);
      const { violations, passes } = await axe.run(document);
      if (passes.length < 20) return [`only ${passes.length} rules were tried`];
      return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + n.any.map((a) => a.message).join("; ")).join(" | ")}`);
    }, axe);
    must(found.length === 0, found.join("\n"));
  });
  await check(`${guise.name}: the console is silent`, async () => must(complaints.length === 0, complaints.join("\n")));
  if (folder) await page.screenshot({ path: `${folder}/${file}.png`, fullPage: guise.name !== "with 200 deployments" });
  if (process.env.PICTURE && guise.name === "light") {
    await page.setViewportSize({ width: 1440, height: 1230 });
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: process.env.PICTURE });
  }
  await context.close();
}
await browser.close();
