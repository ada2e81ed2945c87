#!/usr/bin/env bash
# Packages: openai 3.57.0 and groq 1.7.0 (both from Stainless), mistralai 3.7.0 as the contrast.
# Expected: the same answer four times. The standard for server-sent events (WHATWG HTML, "Interpreting an event stream")
#   says of a block that ends with an empty data buffer: no event is dispatched. So `retry: 3000` alone, `event: ping`
#   without data, and a comment after an event that had an `id` are all nothing.
# What happens: the two clients dispatch them as an event whose data is "" and parse that as JSON. The id is remembered
#   over the blocks (as the standard says), and from then on *every* comment is such an event.
# Seen on 2026-11-30:
#   openai    plain        'Half rest'
#   openai    retry        '' JSONDecodeError
#   openai    event-only   'Half' JSONDecodeError
#   openai    id+comment   'Half' JSONDecodeError
#   groq      plain        'Half rest'
#   groq      retry        '' JSONDecodeError
#   groq      event-only   'Half' JSONDecodeError
#   groq      id+comment   'Half' JSONDecodeError
#   mistralai plain        'Half rest'
#   mistralai retry        'Half rest'
#   mistralai event-only   'Half rest'
#   mistralai id+comment   'Half rest'
# Why it matters: keep-alives are what a gateway adds to a slow stream. ": ping" is safe only as long as nobody (the
#   provider, a proxy) ever sent an `id`; a gateway must take id, retry and empty events out before the client sees them.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q openai==3.57.0 groq==1.7.0 mistralai==3.7.0
"$tmp/venv/bin/python" - <<'PY' | tee "$tmp/seen"
import http.server, json, threading
import groq, openai
from mistralai.client import Mistral

def event(delta, finish=None):
    return "data: " + json.dumps({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"

first, rest = event({"role": "assistant", "content": "Half"}), event({"content": " rest"}) + event({}, "stop") + "data: [DONE]\n\n"
STREAMS = {"plain": first + rest, "retry": "retry: 3000\n\n" + first + rest,
           "event-only": first + "event: ping\n\n" + rest, "id+comment": "id: 7\n" + first + ": keep-alive\n\n" + rest}

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = STREAMS[self.path.split("/")[1]].encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
for name in ("openai", "groq", "mistralai"):
    for case in STREAMS:
        base, text, failed = f"http://127.0.0.1:{server.server_port}/{case}", "", ""
        try:
            if name == "mistralai":
                client = Mistral(api_key="k", server_url=base)
                chunks = (e.data for e in client.chat.stream(**ask))
            else:
                client = (openai.OpenAI if name == "openai" else groq.Groq)(api_key="k", base_url=base, max_retries=0)
                chunks = client.chat.completions.create(stream=True, **ask)
            for chunk in chunks:
                text += chunk.choices[0].delta.content or ""
        except Exception as e:
            failed = " " + type(e).__name__
        print(f"{name:9} {case:12} {text!r}{failed}")
PY
sed -n 's/^#   \(openai \|groq \|mistralai \)/\1/p' "$0" | diff - "$tmp/seen"
