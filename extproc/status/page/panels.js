// The figures at the head, the facts of the process, the cascades and the panels
// at the foot. They are few: each is made anew when it changes.
const figureView = new Map();

function figure(id, label) {
  if (!figureView.has(id)) {
    const f = { value: el("dd", { id: `figure-${id}` }), note: el("dd", { class: "note" }), box: el("div") };
    f.box.append(el("dt", {}, label), f.value, f.note);
    byID("figures").append(f.box);
    figureView.set(id, f);
  }
  return figureView.get(id);
}

function setFigure(id, label, value, note, unit) {
  const f = figure(id, label), key = `${value}|${unit || ""}`;
  if (f.key !== key) f.value.replaceChildren(value, ...(unit ? [el("small", {}, ` ${unit}`)] : []));
  f.key = key;
  setText(f.note, note);
  return f;
}

function setFigureSpark(f, values, misses) {
  if (f.spark) f.spark.remove();
  f.spark = spark(values, misses, true);
  f.box.append(f.spark);
}

// overTime adds the trails of all deployments up, slice by slice.
function overTime(trails, of) {
  const out = new Array(slices).fill(0);
  for (const t of trails) {
    const values = of(t) || [];
    values.forEach((v, i) => { out[i + slices - values.length] += v; });
  }
  return out;
}

function renderFigures(state, changed) {
  const list = Object.values(state.deployments), trails = Object.values(state.trails), well = list.filter((d) => !troubled(d)).length;
  const requests = sum(list, (d) => d.requests), failures = sum(list, (d) => d.failures), g = state.gateway[""];
  const resting = list.filter((d) => d.state === "cooling").length, probing = list.filter((d) => d.state === "probing").length;
  const trouble = [resting ? `${resting} cooling` : "", probing ? `${probing} probing` : ""].filter(Boolean).join(", ");
  setFigure("healthy", "Healthy deployments", plain.format(well), trouble || "all of them", `of ${plain.format(list.length)}`);
  const attempts = setFigure("attempts", "Attempts", count(requests), `${count(sum(list, (d) => d.tokens))} tokens`, "/ min");
  const failed = setFigure("failures", "Failed attempts", count(failures), requests ? `${share(failures, requests)} of all` : "", "/ min");
  const goods = overTime(trails, (t) => t.good), bads = overTime(trails, (t) => t.failed), waits = overTime(trails, (t) => (t.wait || []).map((w, i) => w * t.good[i]));
  const recent = sum(goods.slice(-12), (n) => n), mean = recent ? sum(waits.slice(-12), (n) => n) / recent : 0;
  const wait = setFigure("wait", "First byte", mean ? span(mean) : "–", mean ? "mean of good attempts" : "no good attempt");
  if (changed.trails) {
    setFigureSpark(attempts, goods.map((n, i) => n + bads[i]), []);
    setFigureSpark(failed, bads, []);
    setFigureSpark(wait, waits.map((w, i) => goods[i] ? w / goods[i] : 0), []);
  }
  setFigure("open", "Open requests", count(g.open), `${count(sum(list, (d) => d.in_flight))} attempts in flight`);
  const cache = state.rest.cache;
  if (cache) {
    const hits = cache.hits + cache.shared;
    setFigure("cache", "Cache hits", share(hits, hits + cache.misses), `${count(hits)} of ${count(hits + cache.misses)}`);
  }
}

function renderFacts(g, now) {
  const facts = [["Version", g.version], ["Envoy", g.envoy], ["Routing", g.strategy], ["Up", age(now - g.started)]].filter(([, v]) => v);
  const list = byID("facts");
  if (list.children.length !== facts.length) list.replaceChildren(...facts.map(([name]) => el("div", {}, el("dt", {}, name), el("dd"))));
  facts.forEach(([, value], i) => setText(list.children[i].lastChild, value));
  setTitle(list, `Started ${moment.format(g.started)}`);
  list.hidden = false;
}

// renderNames draws where each name leads, and who would answer it now: the first
// stage with a deployment that does not rest.
function renderNames(state) {
  const groups = new Map();
  for (const d of Object.values(state.deployments)) groups.set(d.group, [...(groups.get(d.group) || []), d]);
  const names = Object.values(state.names).sort((a, b) => a.order - b.order);
  byID("names").hidden = names.length === 0;
  const text = JSON.stringify([names, [...groups].map(([n, ds]) => [n, ds.filter(troubled).length, ds.length])]);
  if (renderNames.shown === text) return;
  renderNames.shown = text;
  byID("name-list").replaceChildren(...names.map((n) => {
    let answers = true;
    const stages = n.stages.map((s) => {
      const members = groups.get(s.group) || [], well = members.filter((d) => !troubled(d)).length;
      const kind = well === members.length ? "healthy" : well ? "mixed" : "cooling";
      const item = el("li", { class: `${kind}${s.fallback ? " fallback" : ""}` }, mark(kind), el("span", {}, s.group + (s.model ? ` as ${s.model}` : "")), el("span", { class: "count" }, `${well}/${members.length}`, el("span", { class: "sr" }, ` healthy${s.fallback ? ", a fallback" : ""}`)));
      if (answers && well) {
        answers = false;
        if (n.stages.length > 1) item.append(el("span", { class: "now" }, "answers now"));
      }
      return item;
    });
    return el("li", {}, el("span", { class: "alias" }, n.name), el("ol", { class: "stages" }, ...stages));
  }));
}

function panel(title, ...children) {
  const id = `panel-${title.toLowerCase().replace(/\W+/g, "-")}`;
  return el("section", { class: "panel", "aria-labelledby": id }, el("div", { class: "head" }, el("h2", { id }, title)), ...children);
}

const pairs = (list) => el("dl", {}, ...list.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

function grid(label, columns, rows) {
  const head = columns.map((c, i) => el("th", { scope: "col", class: i && "n" }, c));
  return el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

// whose says in words what a limit is of.
const whose = (l) => l.of === "all" ? "All requests" : `${l.of === "group" ? "Group" : "Caller"} ${l.name}`;

function renderPanels(rest) {
  const out = [], c = rest.cache, q = rest.queue, limits = rest.limits || [], sinks = rest.sinks || [], absent = rest.left_out || [], unenforced = rest.unenforced || [];
  if (unenforced.length) {
    out.push(panel("Not enforced", el("p", {}, "The configuration restricts by these, and isthmus does not: it was started with --allow-unenforced."), el("ul", {}, ...unenforced.map((name) => el("li", {}, el("b", {}, name))))));
  }
  if (limits.length) {
    out.push(panel("Limits", grid("Limits", ["Whose", "Used", "Unit"], limits.map((l) => {
      const line = bar();
      setBar(line, l.used, l.limit);
      return el("tr", {}, el("th", { scope: "row" }, whose(l)), el("td", { class: "n" }, el("div", { class: "quota" }, el("div", {}, count(l.used), el("span", { class: "of" }, ` / ${count(l.limit)}`)), line)), el("td", { class: "n faint" }, l.unit));
    }))));
  }
  if (q) out.push(panel("Queue", pairs([["Waiting now", q.room ? `${count(q.waiting)} of ${count(q.room)}` : count(q.waiting)]])));
  out.push(panel("Cache", c ? pairs([["Hits", count(c.hits)], ["Shared", count(c.shared)], ["Misses", count(c.misses)], ["Stored", count(c.stores)], ["Held here", size(c.bytes)], ["Waiting", count(c.waiting)], ["Dropped", count(c.drops)], ["Store errors", count(c.errors)]]) : el("p", {}, "Off: no answer is stored.")));
  if (sinks.length) {
    out.push(panel("Callbacks", grid("Callbacks", ["Sink", "Queued", "Sent", "Retried", "Dropped"], sinks.map((s) => el("tr", {}, el("th", { scope: "row" }, s.name),
      el("td", { class: "n" }, count(s.queued)), el("td", { class: "n" }, count(s.sent)), el("td", { class: "n" }, count(s.retried)), el("td", { class: s.dropped ? "n badly" : "n zero" }, count(s.dropped)))))));
  }
  if (absent.length) out.push(panel("Not served", el("ul", {}, ...absent.map((l) => el("li", {}, el("b", {}, l.group), ` · ${l.reason}`)))));
  byID("panels").replaceChildren(...out);
}
