#!/usr/bin/env bash
# Packages: opentelemetry-instrumentation-openai 0.62.4 (Traceloop's OpenLLMetry), openinference-instrumentation-openai 0.1.66
#   (Arize), both around openai 3.57.0 with the same stream: some text, then OpenAI's error event.
# Expected: where the caller gets an APIError, the span of the call has status ERROR and error.type. OpenTelemetry's GenAI
#   conventions: error.type is conditionally required "if the operation ended in an error"; OpenTelemetry's page on
#   recording errors wants the span's status ERROR then.
# What happens: Traceloop's span is OK, without error.type, exception or finish reason: a good call with a short answer.
# Seen on 2026-11-30:
#   traceloop raised=APIError status=OK error.type=None events=[]
#   openinference raised=APIError status=ERROR error.type=None events=['exception']
# Why it matters: two libraries in front of the same gateway disagree whether a call failed. An error rate from Traceloop's
#   spans sees none of the failures that come after the first byte, which are the ones that a gateway cannot retry.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q openai==3.57.0 opentelemetry-sdk==1.45.2 \
  opentelemetry-instrumentation-openai==0.62.4 openinference-instrumentation-openai==0.1.66
cat > "$tmp/ask.py" <<'PY'
import http.server, json, sys, threading, warnings
warnings.filterwarnings("ignore")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        half = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Half"}, "finish_reason": None}]}
        error = {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": None}}
        body = "".join(f"data: {json.dumps(part)}\n\n" for part in (half, error)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
if sys.argv[1] == "traceloop":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
else:
    from openinference.instrumentation.openai import OpenAIInstrumentor
OpenAIInstrumentor().instrument(tracer_provider=provider)
import openai

client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}", api_key="k", max_retries=0)
raised = None
try:
    for chunk in client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True):
        pass
except Exception as e:
    raised = type(e).__name__
(span,) = kept.get_finished_spans()
print(f"{sys.argv[1]} raised={raised} status={span.status.status_code.name} "
      f"error.type={span.attributes.get('error.type')} events={[e.name for e in span.events if 'xception' in e.name]}")
PY
for one in traceloop openinference; do TRACELOOP_TRACE_CONTENT=false "$tmp/venv/bin/python" "$tmp/ask.py" $one; done | tee "$tmp/seen"
sed -n 's/^#   \(.* raised=.*\)$/\1/p' "$0" | diff - "$tmp/seen"
