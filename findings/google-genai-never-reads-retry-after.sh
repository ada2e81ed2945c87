#!/usr/bin/env bash
# Package: google-genai 3.6.1 (Python), with retries switched on (HttpRetryOptions; without it there are none at all).
# Expected: a second try not before the time that the server names: RFC 9110 10.2.3, `Retry-After` "to indicate how long
#   the user agent ought to wait", and in Google's own words google.rpc.RetryInfo, "Clients should wait at least
#   retry_delay". The clients of OpenAI, Cohere and Mistral wait the time that the header names.
# What happens: neither is read. The pause is always the back-off (1 s and jitter here).
# Seen on 2026-11-30:
#   openai Retry-After: waits
#   google-genai Retry-After: does not wait
#   google-genai RetryInfo: does not wait
# Why it matters: a gateway that answers 429 with the seconds until there is room again gets the tries of these clients
#   at once, each of them counted by whoever counts requests. What must be spread has to be held back in the gateway.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q google-genai==3.6.1 openai==3.57.0
"$tmp/venv/bin/python" - <<'PY' | tee "$tmp/seen"
import http.server, json, threading, time
import openai
from google import genai
from google.genai import types

WAIT, tries = 4, []
INFO = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{WAIT}s"}]

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        tries.append(time.monotonic())
        first = len(tries) == 1
        if first:
            answer = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": INFO if "RetryInfo" in self.path else []}}
        elif "generateContent" in self.path:
            answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}]}
        else:
            answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                      "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}
        body = json.dumps(answer).encode()
        self.send_response(429 if first else 200)
        if first and "Retry-After" in self.path:
            self.send_header("retry-after", str(WAIT))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
for name, case in (("openai", "Retry-After"), ("google-genai", "Retry-After"), ("google-genai", "RetryInfo")):
    tries.clear()
    base = f"http://127.0.0.1:{server.server_port}/{case}"
    if name == "openai":
        openai.OpenAI(api_key="k", base_url=base).chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    else:
        options = types.HttpOptions(base_url=base, retry_options=types.HttpRetryOptions(attempts=2))
        client = genai.Client(api_key="k", http_options=options)
        client.models.generate_content(model="m", contents="hi")
    print(f"{name} {case}: {'waits' if tries[1] - tries[0] >= WAIT - 0.1 else 'does not wait'}")
PY
sed -n 's/^#   \(.*: \(waits\|does not wait\)\)$/\1/p' "$0" | diff - "$tmp/seen"
