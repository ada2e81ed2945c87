// The table of deployments: a body for each model group, a row for each of its
// deployments. Rows are made once and changed where their figures change.
const deploymentView = { rows: new Map(), groups: new Map(), which: "all", text: "", folded: new Set() };

const stateName = { healthy: "Healthy", cooling: "Cooling", probing: "Probing" };
const troubled = (d) => d.state !== "healthy";
const pathOf = (d) => `${d.provider}/${d.model}`;

function deploymentRow(d) {
  const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, ...children);
  const meter = (what) => {
    const used = el("span"), of = el("span", { class: "of" }), line = bar();
    return { node: el("div", { class: "quota" }, el("div", {}, what && el("span", { class: "of" }, `${what} `), used, of), line), used, of, line };
  };
  const quota = (label, ...more) => {
    const whole = meter(), parts = more.map(meter);
    return { cell: cell(label, el("div", {}, whole.node, ...parts.map((p) => p.node))), ...whole, parts };
  };
  const row = {
    cause: el("span", { class: "soft" }), state: el("b"), rest: el("span", { class: "rest" }), load: quota("In flight"),
    value: el("span", { class: "value" }), requests: quota("Requests / min"), tokens: quota("Tokens / min", "in", "out"), failures: cell("Failures / min"), mark: el("span"),
  };
  row.load.cell.className = row.failures.className = "n";
  row.wait = el("div", { class: "wait" }, row.value, spark([], []));
  row.name = el("div", { class: "name" }, el("span", { class: "model" }, el("span", { class: "soft" }, `${d.provider}/`), d.model), el("span", { class: "id" }, d.id));
  row.name.title = `${pathOf(d)}, id ${d.id}${d.tags ? `, tags ${d.tags.join(", ")}` : ""}`;
  row.stateCell = el("td", { role: "cell", class: "state" }, row.mark, row.state, row.rest, row.cause);
  row.node = el("tr", { role: "row", class: "item", "data-id": d.id }, el("th", { role: "rowheader", scope: "row" }, row.name), row.stateCell,
    row.load.cell, cell("First byte", row.wait), row.requests.cell, row.tokens.cell, row.failures);
  return row;
}

function setNumber(node, n, loud) {
  setText(node, count(n));
  setClass(node, `n${n === 0 ? " zero" : loud ? " badly" : ""}`);
}

function setQuota(q, used, limit) {
  setText(q.used, count(used));
  setText(q.of, limit ? ` / ${count(limit)}` : "");
  q.line.hidden = !limit;
  if (limit) setBar(q.line, used, limit);
  setClass(q.used, used === 0 ? "zero" : "");
}

// setPart shows a limit that few deployments have.
function setPart(q, used, limit) {
  q.node.hidden = !limit;
  if (limit) setQuota(q, used || 0, limit);
}

function updateRow(row, d) {
  row.data = d;
  if (row.shown !== d.state) {
    row.shown = d.state;
    row.mark.replaceChildren(mark(d.state));
    setText(row.state, stateName[d.state] || d.state);
    row.node.className = `item ${d.state}`;
  }
  setText(row.cause, d.cause && troubled(d) ? ` · ${d.cause}` : "");
  setTitle(row.stateCell, d.cause && troubled(d) ? `Since: ${d.cause}` : "");
  setQuota(row.load, d.max_parallel ? d.running || 0 : d.in_flight, d.max_parallel);
  setNumber(row.failures, d.failures, true);
  setQuota(row.requests, d.requests, d.rpm);
  setQuota(row.tokens, d.tokens, d.tpm);
  setPart(row.tokens.parts[0], d.input, d.itpm);
  setPart(row.tokens.parts[1], d.output, d.otpm);
  row.tokens.node.hidden = !d.tpm && d.itpm && d.otpm; // the two say it all
}

// tickRow counts down.
function tickRow(row, now) {
  const d = row.data;
  setText(row.rest, d.state === "cooling" && d.until > now ? ` ${countdown(d.until - now)}` : "");
}

// updateTrail draws how a deployment answered in the last five minutes. Its
// number is that of the last minute, or else of all five.
function updateTrail(row, t) {
  const wait = t.wait || [], good = t.good || [], failed = t.failed || [];
  const mean = (from) => {
    const n = sum(good.slice(from), (x) => x), waits = good.map((g, i) => g * wait[i]).slice(from);
    return n ? sum(waits, (x) => x) / n : 0;
  };
  row.latency = mean(-12) || mean(0);
  setText(row.value, row.latency ? span(row.latency) : "–");
  setClass(row.value, row.latency ? "value" : "value zero");
  row.wait.lastChild.replaceWith(spark(wait, failed));
  const seen = wait.filter((w) => w > 0);
  setTitle(row.wait, seen.length ? `Mean time to the first byte in slices of 5 s: ${span(Math.min(...seen))} to ${span(Math.max(...seen))}` : "");
}

function groupBody(name) {
  const id = `group-${deploymentView.groups.size}`;
  const g = { name, rows: [], body: el("tbody", { role: "rowgroup", id }), button: el("button", { type: "button", class: "fold", "aria-expanded": "true", "aria-controls": id }, name), text: el("span", { class: "soft" }) };
  g.head = el("tr", { role: "row", class: "group" }, el("th", { role: "rowheader", scope: "rowgroup", colspan: "7" }, el("div", { class: "line" }, g.button, g.text)));
  g.body.append(g.head);
  g.button.addEventListener("click", () => {
    deploymentView.folded.has(name) ? deploymentView.folded.delete(name) : deploymentView.folded.add(name);
    filterDeployments();
  });
  return g;
}

// layDeployments makes the table anew: for another configuration.
function layDeployments(list) {
  deploymentView.rows.clear();
  deploymentView.groups.clear();
  for (const d of list) {
    if (!deploymentView.groups.has(d.group)) deploymentView.groups.set(d.group, groupBody(d.group));
    const g = deploymentView.groups.get(d.group), row = deploymentRow(d);
    deploymentView.rows.set(d.id, row);
    g.rows.push(row);
    g.body.append(row.node);
  }
  const table = byID("deployment-table");
  table.replaceChildren(table.tHead, ...[...deploymentView.groups.values()].map((g) => g.body));
}

function renderDeployments(state, changed) {
  const list = Object.values(state.deployments).sort((a, b) => a.order - b.order);
  const laid = [...deploymentView.rows.keys()];
  if (laid.length !== list.length || list.some((d, i) => d.id !== laid[i] && !deploymentView.rows.has(d.id))) {
    layDeployments(list);
    changed = { deployments: state.deployments, trails: state.trails };
  }
  for (const d of Object.values(changed.deployments || {})) updateRow(deploymentView.rows.get(d.id), d);
  for (const [id, t] of Object.entries(changed.trails || {})) {
    const row = deploymentView.rows.get(id);
    if (row) updateTrail(row, t);
  }
  for (const g of deploymentView.groups.values()) {
    const rows = g.rows.map((r) => r.data), well = rows.filter((d) => !troubled(d)).length, failures = sum(rows, (d) => d.failures);
    setText(g.text, `${well === rows.length ? `${well} healthy` : `${well} of ${rows.length} healthy`} · ${count(sum(rows, (d) => d.requests))} requests/min${failures ? ` · ${count(failures)} failed` : ""}`);
  }
  setDeploymentCount("all", list.length);
  setDeploymentCount("troubled", list.filter(troubled).length);
  setDeploymentCount("failing", list.filter((d) => d.failures > 0).length);
  filterDeployments();
}

function filterDeployments() {
  const words = deploymentView.text.toLowerCase().split(/\s+/).filter(Boolean);
  const searched = words.length > 0 || deploymentView.which !== "all";
  let any = false;
  for (const g of deploymentView.groups.values()) {
    const open = !deploymentView.folded.has(g.name);
    let some = false;
    for (const row of g.rows) {
      const d = row.data, text = `${d.group} ${pathOf(d)} ${d.id} ${d.state}`.toLowerCase();
      const fits = words.every((w) => text.includes(w)) && (deploymentView.which === "all" || (deploymentView.which === "failing" ? d.failures > 0 : troubled(d)));
      some ||= fits;
      row.node.hidden = !(fits && open);
    }
    g.body.hidden = searched && !some;
    any ||= !g.body.hidden;
    g.button.setAttribute("aria-expanded", String(open));
  }
  byID("deployment-empty").hidden = any;
}

const setDeploymentCount = choice(byID("deployment-choice"), [["all", "All"], ["troubled", "Not healthy"], ["failing", "Failing"]], (which) => {
  deploymentView.which = which;
  filterDeployments();
});

byID("deployment-search").addEventListener("input", (e) => {
  deploymentView.text = e.target.value;
  filterDeployments();
});

byID("fold").addEventListener("click", (e) => {
  const fold = e.currentTarget.getAttribute("aria-pressed") !== "true";
  e.currentTarget.setAttribute("aria-pressed", String(fold));
  deploymentView.folded = new Set(fold ? deploymentView.groups.keys() : []);
  filterDeployments();
});
