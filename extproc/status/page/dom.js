// Building and changing the document. Text is only ever set as text.
const byID = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== ""));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The setters leave alone what is so already: a table of 200 rows is cheap then.
function setText(node, text) { if (node.textContent !== text) node.textContent = text; }
function setClass(node, name) { if (node.className !== name) node.className = name; }
function setTitle(node, text) { if (node.title !== text) node.title = text; }

const shapes = {
  healthy: [["circle", { cx: 6, cy: 6, r: 4, class: "solid" }]],
  cooling: [["circle", { cx: 6, cy: 6, r: 4.6 }], ["path", { d: "M4.7 4.2v3.6M7.3 4.2v3.6" }]],
  probing: [["circle", { cx: 6, cy: 6, r: 4.6 }], ["path", { d: "M6 1.4a4.6 4.6 0 0 1 0 9.2z", class: "solid" }]],
  mixed: [["path", { d: "M6 1.2 11 10.4H1z" }]],
  good: [["path", { d: "M1.8 6.4 4.8 9.4 10.4 2.8" }]],
  bad: [["path", { d: "M2.4 2.4 9.6 9.6M9.6 2.4 2.4 9.6" }]],
  left: [["path", { d: "M1.5 6h7.2M6 2.8 9.2 6 6 9.2" }]],
};

// mark is a small sign whose shape says what its colour says. Text stands beside it.
function mark(kind) {
  return svg("svg", { class: "mark", viewBox: "0 0 12 12", "aria-hidden": "true" }, ...shapes[kind].map(([tag, a]) => svg(tag, a)));
}

// spark draws a line of values over slices of time, the newest at the right. A 0
// is a gap. Slices in which something failed get a tick at the foot.
const slices = 59;
function spark(values, misses, area) {
  const top = Math.max(...values, 1e-9), at = (i) => i + slices - values.length, y = (v) => (17 - 15 * v / top).toFixed(1);
  let line = "", fill = "", begun = -1;
  for (let i = 0; i <= values.length; i++) {
    if (i < values.length && values[i] > 0) {
      line += `${begun < 0 ? "M" : "L"}${at(i)} ${y(values[i])}`;
      if (begun < 0) begun = i;
    } else if (begun >= 0) {
      if (begun === i - 1) line += "h.01";
      fill += `M${at(begun)} 18` + values.slice(begun, i).map((v, k) => `L${at(begun + k)} ${y(v)}`).join("") + `L${at(i - 1)} 18z`;
      begun = -1;
    }
  }
  const ticks = (misses || []).map((n, i) => n > 0 ? `M${at(i)} 20v-4` : "").join("");
  const parts = [svg("path", { class: "base", d: `M0 19.5H${slices - 1}` })];
  if (area) parts.push(svg("path", { class: "area", d: fill }));
  parts.push(svg("path", { d: line }), svg("path", { class: "miss", d: ticks }));
  return svg("svg", { class: "spark", viewBox: `0 0 ${slices - 1} 20`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

// bar shows a share; the text beside it says the same.
function bar() { return el("div", { class: "bar", "aria-hidden": "true" }, el("i")); }
function setBar(node, used, limit) {
  const part = Math.min(1, used / limit);
  node.firstChild.style.width = `${100 * part}%`;
  setClass(node, part >= 1 ? "bar full" : part >= .8 ? "bar high" : "bar");
}

// choice fills a fieldset with radio buttons; set changes the counts behind them.
function choice(field, options, chosen) {
  const counts = {};
  options.forEach(([value, label], i) => {
    counts[value] = el("b");
    const input = el("input", { type: "radio", name: field.id, value, checked: i === 0 });
    input.addEventListener("change", () => chosen(value));
    field.append(el("label", {}, input, label, counts[value]));
  });
  return (value, n) => setText(counts[value], count(n));
}
