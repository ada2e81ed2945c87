#!/usr/bin/env bash
# Packages: agno 3.1.10, llama-index-llms-openai 0.8.3 (Python); langchain-openai 1.7.4 as the contrast.
# Expected: a stream of the Responses API that ends with `response.failed` or with an `error` event raises, or ends with an error
#   event of the library's own. Both are terminal events of the API that say what broke (code and message).
# What happens: agno's run ends with RunCompletedEvent and the half text; without streaming the same answer is RunStatus.error.
#   llama-index ends without an exception, and its last message is None. Neither shows the provider's message anywhere.
# Seen on 2026-11-30:
#   agno failed RunCompletedEvent 'Half'
#   agno error RunCompletedEvent 'Half'
#   llama-index failed ended None
#   llama-index error ended None
#   langchain failed ValueError
#   langchain error ValueError
# Why it matters: a gateway that ends a broken stream as the API says is not heard here. What these clients notice is a stream
#   that never began to be one: an HTTP status. So whatever can be decided before the first event has to be.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/agno"; python3 -m venv "$tmp/others"
"$tmp/agno/bin/pip" install -q agno==3.1.10 openai==3.57.0
"$tmp/others/bin/pip" install -q llama-index-llms-openai==0.8.3 llama-index-core==0.14.25 openai==2.54.0
python3 -m venv "$tmp/langchain"
"$tmp/langchain/bin/pip" install -q langchain-openai==1.7.4 openai==3.57.0
cat > "$tmp/provider.py" <<'PY'
import http.server, json, threading

RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], "status": "in_progress", "error": None, "incomplete_details": None}
WHY = {"code": "server_error", "message": "The model broke down."}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
TEXT = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

def events(case):
    yield {"type": "response.created", "response": RESPONSE}
    yield {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE}
    yield {"type": "response.content_part.added", **AT, "part": TEXT}
    yield {"type": "response.output_text.delta", **AT, "delta": "Half", "logprobs": []}
    if case == "failed":
        yield {"type": "response.failed", "response": RESPONSE | {"status": "failed", "error": WHY}}
    else:
        yield {"type": "error", "param": None} | WHY

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = "".join(f"event: {e['type']}\ndata: {json.dumps(e | {'sequence_number': n})}\n\n"
                       for n, e in enumerate(events(self.path.split("/")[1])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

def url(case):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/{case}"
PY
export PYTHONPATH="$tmp"
{
"$tmp/agno/bin/python" - 2>"$tmp/log" <<'PY'
from agno.agent import Agent
from agno.models.openai import OpenAIResponses
from provider import url
for case in ("failed", "error"):
    agent = Agent(model=OpenAIResponses(id="m", base_url=url(case), api_key="k", max_retries=0), telemetry=False)
    text, last = "", ""
    for event in agent.run("hi", stream=True, stream_events=True):
        last = type(event).__name__
        if last == "RunContentEvent":
            text += event.content or ""
    print("agno", case, last, repr(text))
PY
"$tmp/others/bin/python" - <<'PY'
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAIResponses
from provider import url
for case in ("failed", "error"):
    model, last = OpenAIResponses(model="gpt-4o-mini", api_base=url(case), api_key="k", max_retries=0), None
    for last in model.stream_chat([ChatMessage(role="user", content="hi")]):
        pass
    print("llama-index", case, "ended", last.message.content)
PY
"$tmp/langchain/bin/python" - <<'PY'
from langchain_openai import ChatOpenAI
from provider import url
for case in ("failed", "error"):
    model = ChatOpenAI(model="m", base_url=url(case), api_key="k", max_retries=0, use_responses_api=True)
    try:
        print("langchain", case, [chunk.text for chunk in model.stream("hi")])
    except Exception as e:
        print("langchain", case, type(e).__name__)
PY
} | tee "$tmp/seen"
sed -n '/^# Seen on/,/^# Why/s/^#   //p' "$0" | diff - "$tmp/seen"
