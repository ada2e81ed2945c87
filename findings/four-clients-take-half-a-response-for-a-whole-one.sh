#!/usr/bin/env bash
# Packages: strands-agents 1.62.0, pydantic-ai-slim 2.68.0, langchain-openai 1.7.4, llama-index-llms-openai 0.8.3 (Python);
#   openai-agents 0.24.0 as the contrast.
# Expected: a stream of the Responses API that ends without a terminal event (response.completed, .incomplete, .failed or error)
#   was cut off, and the client says so; HTTP itself cannot: the body ends cleanly where a proxy in between closed its side.
# What happens: four of five return the half text as the answer. strands even gives it the stop reason end_turn, which lets an
#   agent go on as if the model had finished; the others leave their status or finish reason empty.
# Seen on 2026-11-30:
#   strands 'Half' end_turn
#   pydantic-ai 'Half' None
#   langchain 'Half' None
#   llama-index 'Half'
#   openai-agents ModelBehaviorError
# Why it matters: whoever stands between must not end such a body cleanly. A terminal event with the error, or a cut connection, is
#   all that lets these clients see it.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
install() { python3 -m venv "$tmp/$1"; "$tmp/$1/bin/pip" install -q "${@:2}"; }
install strands 'strands-agents[openai]==1.62.0' openai==2.54.0
install pydantic 'pydantic-ai-slim[openai]==2.68.0' openai==3.57.0
install langchain langchain-openai==1.7.4 openai==3.57.0
install llama llama-index-llms-openai==0.8.3 llama-index-core==0.14.25 openai==2.54.0
install agents openai-agents==0.24.0 openai==3.57.0
cat > "$tmp/provider.py" <<'PY'
import http.server, json, threading

RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True,
            "tool_choice": "auto", "tools": [], "status": "in_progress", "error": None, "incomplete_details": None}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
TEXT = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
EVENTS = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE},
    {"type": "response.content_part.added", **AT, "part": TEXT},
    {"type": "response.output_text.delta", **AT, "delta": "Half", "logprobs": []},
]
BODY = "".join(f"event: {e['type']}\ndata: {json.dumps(e | {'sequence_number': n})}\n\n" for n, e in enumerate(EVENTS)).encode()

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}/v1"
PY
export PYTHONPATH="$tmp"
{
"$tmp/strands/bin/python" - <<'PY'
from provider import URL
from strands import Agent
from strands.models.openai_responses import OpenAIResponsesModel
model = OpenAIResponsesModel(client_args={"base_url": URL, "api_key": "k", "max_retries": 0}, model_id="m")
result = Agent(model=model, callback_handler=None)("hi")
print("strands", repr(str(result).strip()), result.stop_reason)
PY
"$tmp/pydantic/bin/python" - <<'PY'
import asyncio
from openai import AsyncOpenAI
from provider import URL
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
client = AsyncOpenAI(base_url=URL, api_key="k", max_retries=0)

async def main():
    async with Agent(OpenAIResponsesModel("m", provider=OpenAIProvider(openai_client=client))).run_stream("hi") as run:
        print("pydantic-ai", repr(await run.get_output()), run.response.finish_reason)

asyncio.run(main())
PY
"$tmp/langchain/bin/python" - <<'PY'
from langchain_openai import ChatOpenAI
from provider import URL
answer = None
for chunk in ChatOpenAI(model="m", base_url=URL, api_key="k", max_retries=0, use_responses_api=True).stream("hi"):
    answer = chunk if answer is None else answer + chunk
print("langchain", repr(str(answer.text)), answer.response_metadata.get("status"))
PY
"$tmp/llama/bin/python" - <<'PY'
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAIResponses
from provider import URL
last = None
for last in OpenAIResponses(model="gpt-4o-mini", api_base=URL, api_key="k", max_retries=0).stream_chat([ChatMessage(role="user", content="hi")]):
    pass
print("llama-index", repr(last.message.content))
PY
"$tmp/agents/bin/python" - <<'PY'
import asyncio
import agents
from openai import AsyncOpenAI
from provider import URL
agents.set_tracing_disabled(True)
client = AsyncOpenAI(base_url=URL, api_key="k", max_retries=0)

async def main():
    run = agents.Runner.run_streamed(agents.Agent(name="a", model=agents.OpenAIResponsesModel("m", client)), "hi")
    async for event in run.stream_events():
        pass
    return run.final_output

try:
    print("openai-agents", repr(asyncio.run(main())))
except Exception as e:
    print("openai-agents", type(e).__name__)
PY
} 2>"$tmp/log" | tee "$tmp/seen"
sed -n '/^# Seen on/,/^# Why/s/^#   //p' "$0" | diff - "$tmp/seen"
