// The table of the requests that ended last, newest first. A row opens to show
// its attempts.
const requestView = { rows: new Map(), which: "all", all: false };
const fewRequests = 25; // shown until somebody asks for the rest
const keptRequests = 100;

function outcomeOf(r) {
  if (r.aborted) return { kind: "left", sign: "left", text: r.status ? `${r.status} cut` : "Left", title: "The client left, or the answer broke off" };
  if (r.status >= 400 || r.error) return { kind: "failed", sign: "bad", text: r.status < 400 ? `${r.status} failed` : String(r.status), title: r.error || "" };
  return { kind: "ok", sign: "good", text: String(r.status), title: "" };
}

function requestRow(number, r, names) {
  const o = outcomeOf(r), id = `request-${number}`, attempts = (r.attempts || []).length;
  const cell = (text, name) => el("td", { role: "cell", class: name || false }, text);
  const button = el("button", { type: "button", class: "more", "aria-expanded": "false", "aria-controls": id }, clock.format(r.ended), el("span", { class: "sr" }, ", how it went"));
  const code = el("td", { role: "cell", class: "code", title: o.title || false }, mark(o.sign), el("b", {}, o.text));
  const by = r.deployment ? names(r.deployment) : "–";
  const main = el("tr", { role: "row", class: `main ${o.kind}`, "data-number": number },
    el("td", { role: "cell" }, button), code, el("td", { role: "cell", title: r.model }, r.model), el("td", { role: "cell", title: by }, by),
    cell(count(attempts), attempts > 1 ? "n" : "n faint"), cell(r.counted ? count(r.prompt) : "–", r.counted ? "n" : "n zero"), cell(r.counted ? count(r.completion) : "–", r.counted ? "n" : "n zero"),
    cell(r.first_byte ? span(r.first_byte) : "–", r.first_byte ? "n" : "n zero"), cell(span(r.took), "n"), cell(r.cache || "–", r.cache === "hit" ? "" : "faint"));
  const detail = el("tr", { role: "row", class: "detail", id, hidden: true });
  const row = { data: r, main, detail, button };
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    if (open && !detail.firstChild) detail.append(el("td", { role: "cell", colspan: "10" }, ...story(r, names)));
    button.setAttribute("aria-expanded", String(open));
    main.classList.toggle("open", open);
    detail.hidden = !open;
  });
  return row;
}

// story is what a row opens to.
function story(r, names) {
  const fact = (name, value, mono) => el("div", {}, el("dt", {}, name), el("dd", { class: mono && "mono" }, value));
  const facts = el("dl", { class: "story" }, fact("Request", r.id, true), fact("Endpoint", r.endpoint + (r.stream ? ", streamed" : "")));
  if (r.error) facts.append(fact("Error", r.error));
  if (r.cache) facts.append(fact("Cache", r.cache));
  if (r.counted) facts.append(fact("Tokens", `${count(r.prompt)} in, ${count(r.completion)} out`));
  if (!r.attempts) return [facts, el("p", { class: "soft" }, r.cache === "hit" ? "The cache answered: nobody was asked." : "No deployment was asked.")];
  const list = r.attempts.map((a, i) => attemptItem(a, i, r, names));
  return [facts, el("ol", { class: "attempts", "aria-label": "Attempts" }, ...list)];
}

// attemptItem is one attempt beside its lane in the time of the whole request.
// The hatched part is the wait for the first byte.
function attemptItem(a, i, r, names) {
  const whole = Math.max(r.took, 1), lane = el("div", { class: "lane", "aria-hidden": "true" });
  const add = (from, length, name) => {
    const part = el("i", name ? { class: name } : {});
    part.style.left = `${Math.min(99, 100 * from / whole)}%`;
    part.style.width = `${Math.max(0, Math.min(100 - 100 * from / whole, 100 * length / whole))}%`;
    lane.append(part);
  };
  if (a.first_byte && !a.failed) {
    add(a.after, a.first_byte, "before");
    add(a.after + a.first_byte, a.took - a.first_byte);
  } else add(a.after, a.took);
  const why = a.reason || (a.status ? `${a.status}` : "not read to its end");
  return el("li", { class: a.failed ? "bad" : "good" }, el("span", { class: "faint", "aria-hidden": "true" }, String(i + 1)), el("span", { class: "who", title: names(a.deployment) }, names(a.deployment)),
    el("span", { class: "why" }, mark(a.failed ? "bad" : a.status ? "good" : "left"), why), lane, el("span", { class: "n" }, span(a.took)));
}

function renderRequests(state, changed) {
  const names = (id) => state.deployments[id] ? pathOf(state.deployments[id]) : id;
  const body = byID("request-table").tBodies[0];
  const fresh = Object.keys(changed.requests || {}).map(Number).filter((n) => !requestView.rows.has(n)).sort((a, b) => a - b);
  for (const number of fresh) {
    const row = requestRow(number, changed.requests[number], names);
    requestView.rows.set(number, row);
    body.prepend(row.main, row.detail);
  }
  for (const [number, row] of requestView.rows) {
    if (requestView.rows.size <= keptRequests) break;
    row.main.remove();
    row.detail.remove();
    requestView.rows.delete(number);
  }
  if (fresh.length) filterRequests();
}

function clearRequests() {
  requestView.rows.clear();
  byID("request-table").tBodies[0].replaceChildren();
  filterRequests();
}

function filterRequests() {
  const rows = [...requestView.rows.values()], bad = (r) => outcomeOf(r).kind !== "ok", again = (r) => (r.attempts || []).length > 1;
  let fitting = 0;
  for (const row of rows.toReversed()) {
    const fits = requestView.which === "all" || (requestView.which === "failed" ? bad(row.data) : again(row.data));
    if (fits) fitting++;
    row.main.hidden = !fits || fitting > fewRequests && !requestView.all;
    row.detail.hidden = row.main.hidden || row.button.getAttribute("aria-expanded") !== "true";
  }
  const rest = byID("request-rest");
  rest.hidden = fitting <= fewRequests;
  setText(rest, requestView.all ? `Show the last ${fewRequests}` : `Show all ${fitting}`);
  setRequestCount("all", rows.length);
  setRequestCount("failed", rows.filter((row) => bad(row.data)).length);
  setRequestCount("again", rows.filter((row) => again(row.data)).length);
  byID("request-empty").hidden = fitting > 0;
  setText(byID("request-empty"), rows.length ? "No request of this kind is among the last ones." : "No request has ended yet.");
}

const setRequestCount = choice(byID("request-choice"), [["all", "All"], ["failed", "Failed"], ["again", "Retried"]], (which) => {
  requestView.which = which;
  filterRequests();
});

byID("request-rest").addEventListener("click", () => {
  requestView.all = !requestView.all;
  filterRequests();
});
