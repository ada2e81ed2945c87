#!/usr/bin/env bash
# Packages: openai 3.57.0, anthropic 2.14.0, groq 1.7.0, opentelemetry-instrumentation-httpx 0.66b2 (all Python).
# Expected: after HTTPXClientInstrumentor().instrument() every request of these clients carries `traceparent`, so that the
#   gateway's spans join the caller's trace: the instrumentation's own description is that it traces requests of HTTPX.
# What happens: openai 3, anthropic 2 (and google-genai 3, mistralai 3, huggingface-hub 2) are built on httpx2, another
#   package. HTTPXClientInstrumentor patches httpx alone; HTTPX2ClientInstrumentor, in the same package, is a class of its
#   own. Nothing warns, least of all where another client (groq, still on httpx) is in the same process.
# Seen on 2026-11-30:
#   HTTPXClientInstrumentor  openai    no traceparent
#   HTTPXClientInstrumentor  anthropic no traceparent
#   HTTPXClientInstrumentor  groq      traceparent
#   HTTPX2ClientInstrumentor openai    traceparent
#   HTTPX2ClientInstrumentor anthropic traceparent
#   HTTPX2ClientInstrumentor groq      no traceparent
# Why it matters: after an upgrade of the client the gateway's traces begin at the gateway, and it looks as though the
#   gateway had lost the context. Both instrumentors are needed.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q openai==3.57.0 anthropic==2.14.0 groq==1.7.0 \
  opentelemetry-instrumentation-httpx==0.66b2 opentelemetry-sdk==1.45.2
cat > "$tmp/ask.py" <<'PY'
import http.server, json, sys, threading
from opentelemetry.instrumentation import httpx as instrumentors
from opentelemetry.sdk.trace import TracerProvider

seen = []

class Gateway(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        seen.append("traceparent" if "traceparent" in self.headers else "no traceparent")
        if self.path.endswith("/messages"):
            answer = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "ok"}],
                      "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        else:
            answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                      "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
getattr(instrumentors, sys.argv[1])().instrument(tracer_provider=TracerProvider())
import anthropic, groq, openai

there = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "max_retries": 0}
hi = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
openai.OpenAI(**there).chat.completions.create(**hi)
anthropic.Anthropic(**there).messages.create(max_tokens=1, **hi)
groq.Groq(**there).chat.completions.create(**hi)
for name, header in zip(("openai", "anthropic", "groq"), seen):
    print(f"{sys.argv[1]:24} {name:9} {header}")
PY
for one in HTTPXClientInstrumentor HTTPX2ClientInstrumentor; do "$tmp/venv/bin/python" "$tmp/ask.py" $one; done | tee "$tmp/seen"
sed -n 's/^#   \(HTTPX[2]*ClientInstrumentor  *[aog].*traceparent\)$/\1/p' "$0" | diff - "$tmp/seen"
