// The feed: frames from the gateway by a streamed fetch, since an EventSource
// sends no headers and a key does not belong into a URL.
const silence = 15000; // milliseconds after which a stream counts as dead

class Feed {
  constructor(onFrame, onState) {
    this.onFrame = onFrame;
    this.onState = onState;
    this.wait = 0;
  }

  get key() { return this.secret || sessionStorage.getItem("isthmus-key") || ""; }
  set key(value) {
    this.secret = value;
    try { value ? sessionStorage.setItem("isthmus-key", value) : sessionStorage.removeItem("isthmus-key"); } catch { /* kept in memory alone */ }
  }

  stop() {
    clearTimeout(this.timer);
    if (this.abort) this.abort.abort();
    this.abort = null;
  }

  again() {
    this.wait = Math.min(10000, this.wait ? 2 * this.wait : 1000);
    this.timer = setTimeout(() => this.start(), this.wait);
  }

  async start() {
    this.stop();
    const abort = this.abort = new AbortController();
    let end = "away";
    try {
      const answer = await fetch("status/events", { headers: this.key ? { Authorization: `Bearer ${this.key}` } : {}, signal: abort.signal, cache: "no-store", credentials: "omit" });
      if (answer.status === 401) {
        const tried = this.key !== "";
        this.key = "";
        if (abort === this.abort) this.onState("locked", tried);
        return;
      }
      if (answer.ok) end = await this.read(answer.body, abort);
      else if (answer.status === 503) end = "full";
    } catch { /* said by end */ }
    if (abort !== this.abort) return;
    this.onState(end);
    this.again();
  }

  // read takes the stream in and returns how it ended.
  async read(body, abort) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "", watchdog, ended = "away";
    try {
      for (;;) {
        watchdog = setTimeout(() => reader.cancel(), silence);
        const { value, done } = await reader.read();
        clearTimeout(watchdog);
        if (done || abort !== this.abort) return ended;
        this.wait = 0;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          if (event.startsWith("event: end")) ended = "draining";
          const data = event.indexOf("\ndata: ");
          if (event.startsWith("event: state") && data > 0) this.onFrame(JSON.parse(event.slice(data + 7)));
        }
      }
    } finally {
      clearTimeout(watchdog);
    }
  }
}
