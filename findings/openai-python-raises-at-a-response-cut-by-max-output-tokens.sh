#!/usr/bin/env bash
# Packages: openai 3.57.0, openai-agents 0.24.0 (Python).
# Expected: a Responses answer that reached max_output_tokens ends with `response.incomplete` and is an answer: status incomplete,
#   text, usage and the reason. client.responses.create returns it so.
# What happens: the helper client.responses.stream() hands out every event, and then get_final_response() raises a RuntimeError
#   that says "Didn't receive a `response.completed` event"; openai-agents raises ModelBehaviorError, streamed or not.
#   The text and the usage, which were paid for, are in neither exception.
# Seen on 2026-11-30:
#   create incomplete 'Half' 1
#   stream() RuntimeError Didn't receive a `response.completed` event.
#   agents ModelBehaviorError
#   agents streamed ModelBehaviorError
# Why it matters: a gateway that counts `response.incomplete` as a success, as it must for limits and costs, sees its users report
#   errors for requests that its own log calls good. It is the client's word against a normal end; max_output_tokens is the remedy.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q openai==3.57.0 openai-agents==0.24.0
"$tmp/venv/bin/python" - <<'PY' | tee "$tmp/seen"
import asyncio, http.server, json, threading
import agents, openai

TEXT = {"type": "output_text", "text": "Half", "annotations": [], "logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "incomplete", "content": [TEXT]}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], "status": "in_progress", "error": None, "incomplete_details": None}
USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4, "input_tokens_details": {"cached_tokens": 0},
         "output_tokens_details": {"reasoning_tokens": 0}}
INCOMPLETE = RESPONSE | {"status": "incomplete", "output": [MESSAGE], "usage": USAGE,
                         "incomplete_details": {"reason": "max_output_tokens"}}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
EVENTS = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE | {"content": [], "status": "in_progress"}},
    {"type": "response.content_part.added", **AT, "part": TEXT | {"text": ""}},
    {"type": "response.output_text.delta", **AT, "delta": "Half", "logprobs": []},
    {"type": "response.output_text.done", **AT, "text": "Half", "logprobs": []},
    {"type": "response.content_part.done", **AT, "part": TEXT},
    {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
    {"type": "response.incomplete", "response": INCOMPLETE},
]

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        kind, body = "application/json", json.dumps(INCOMPLETE)
        if json.loads(self.rfile.read(int(self.headers["content-length"]))).get("stream"):
            kind = "text/event-stream"
            body = "".join(f"event: {e['type']}\ndata: {json.dumps(e | {'sequence_number': n})}\n\n" for n, e in enumerate(EVENTS))
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "k", "max_retries": 0}
client = openai.OpenAI(**settings)
answer = client.responses.create(model="m", input="hi", max_output_tokens=1)
print("create", answer.status, repr(answer.output_text), answer.usage.output_tokens)
try:
    with client.responses.stream(model="m", input="hi") as stream:
        for event in stream:
            pass
        print("stream()", stream.get_final_response().status)
except Exception as e:
    print("stream()", type(e).__name__, e)

agents.set_tracing_disabled(True)
agent = agents.Agent(name="a", model=agents.OpenAIResponsesModel("m", openai.AsyncOpenAI(**settings)))

async def streamed():
    run = agents.Runner.run_streamed(agent, "hi")
    async for event in run.stream_events():
        pass
    return run

for name, run in (("agents", lambda: agents.Runner.run(agent, "hi")), ("agents streamed", streamed)):
    try:
        print(name, repr(asyncio.run(run()).final_output))
    except Exception as e:
        print(name, type(e).__name__)
PY
sed -n '/^# Seen on/,/^# Why/s/^#   //p' "$0" | diff - "$tmp/seen"
