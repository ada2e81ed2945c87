// What the page knows, and when it draws.
const page = { state: null, changed: {}, paused: false, skew: 0, live: "connecting" };
const liveText = { connecting: "Connecting", live: "Live", paused: "Paused", draining: "Draining", away: "Not reachable, trying again", full: "Too many viewers, trying again", locked: "Locked" };

// take merges a frame into the state and notes what changed.
function take(frame) {
  page.skew = frame.now - Date.now();
  if (frame.full || !page.state) {
    const started = page.state && page.state.gateway[""].started;
    page.state = { gateway: {}, deployments: {}, trails: {}, names: {}, rest: {}, requests: {} };
    page.changed = {};
    page.anew ||= started !== frame.sections.gateway[""].started; // another process counts its requests anew
  }
  for (const [section, parts] of Object.entries(frame.sections)) {
    Object.assign(page.state[section] ||= {}, parts);
    page.changed[section] = Object.assign(page.changed[section] || {}, parts);
  }
  const numbers = Object.keys(page.state.requests).map(Number).sort((a, b) => b - a);
  for (const n of numbers.slice(keptRequests)) {
    delete page.state.requests[n];
    if (page.changed.requests) delete page.changed.requests[n];
  }
  show(page.state.gateway[""].draining ? "draining" : "live");
  if (!page.paused && !page.asked) page.asked = requestAnimationFrame(draw);
}

function draw() {
  page.asked = 0;
  const { state, changed } = page;
  page.changed = {};
  if (page.anew) clearRequests();
  page.anew = false;
  byID("gate").hidden = true;
  byID("board").hidden = byID("pause").hidden = false;
  renderDeployments(state, changed);
  renderRequests(state, changed);
  renderFigures(state, changed);
  renderNames(state);
  if (changed.rest) renderPanels(state.rest);
  tick();
}

// tick moves what moves by itself.
function tick() {
  if (!page.state || page.paused || byID("board").hidden) return;
  const now = Date.now() + page.skew;
  for (const row of deploymentView.rows.values()) tickRow(row, now);
  renderFacts(page.state.gateway[""], now);
}

// show says how the page stands with the gateway: once, when it changes.
function show(state) {
  page.live = state;
  const seen = page.paused && state === "live" ? "paused" : state, node = byID("live");
  if (node.dataset.state === seen) return;
  node.dataset.state = seen;
  setText(node, liveText[seen]);
  byID("forget").hidden = !feed.key;
}

function lock(tried) {
  show("locked");
  page.state = null;
  byID("board").hidden = byID("pause").hidden = byID("facts").hidden = byID("forget").hidden = true;
  byID("gate").hidden = false;
  setText(byID("gate-error"), tried ? "The gateway does not take this key." : "");
  const key = byID("key");
  key.setAttribute("aria-invalid", String(tried));
  key.value = "";
  key.focus();
}

const feed = new Feed(take, (state, tried) => state === "locked" ? lock(tried) : show(state));

byID("gate").addEventListener("submit", (e) => {
  e.preventDefault();
  feed.key = byID("key").value.trim();
  byID("key").value = "";
  feed.start();
});

byID("forget").addEventListener("click", () => {
  feed.key = "";
  feed.start();
});

byID("pause").addEventListener("click", (e) => {
  page.paused = !page.paused;
  e.currentTarget.setAttribute("aria-pressed", String(page.paused));
  show(page.live);
  if (!page.paused && page.state) draw();
});

// A page that nobody sees needs no stream.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) feed.stop();
  else feed.start();
});

setInterval(tick, 1000);
feed.start();
