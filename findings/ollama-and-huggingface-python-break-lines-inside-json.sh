#!/usr/bin/env bash
# Packages: ollama 0.6.3, huggingface-hub 2.4.0 (Python); openai 3.57.0 as the contrast.
# Expected: the text as it is. JSON strings may hold U+0085, U+2028 and U+2029 as they are (RFC 8259 section 7: only the quote,
#   the backslash and U+0000 to U+001F must be escaped), NDJSON ends a line with \n alone, and the standard for server-sent
#   events with \r and \n alone.
# What happens: both clients read lines with iter_lines (of httpx, of httpx2), which breaks where Python's str.splitlines does: there, too.
#   The first half of the line is no JSON and the stream fails.
# Seen on 2026-11-30:
#   ollama U+2028 JSONDecodeError
#   ollama U+0085 JSONDecodeError
#   huggingface U+2028 JSONDecodeError
#   huggingface U+0085 JSONDecodeError
#   openai U+2028 'a\u2028b'
#   openai U+0085 'a\x85b'
# Why it matters: Go's encoding/json escapes U+2028 and U+2029 by itself, but not U+0085. A gateway that hands a provider's
#   bytes on, or writes JSON with another library, breaks these clients in mid-answer when a model repeats such a letter from
#   a document. Escaping all three costs nothing.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q ollama==0.6.3 huggingface-hub==2.4.0 openai==3.57.0
"$tmp/venv/bin/python" - <<'PY' | tee "$tmp/seen"
import http.server, json, threading
import ollama, openai
from huggingface_hub import InferenceClient

CASES = {"U+2028": "a\u2028b", "U+0085": "a\u0085b"}

class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        text = CASES[self.path.split("/")[1]]
        if self.path.endswith("/api/chat"):
            kind, lines = "application/x-ndjson", [{"model": "m", "message": {"role": "assistant", "content": text}, "done": False},
                                                   {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True}]
            body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        else:
            kind, chunk = "text/event-stream", {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}
            body = "data: " + json.dumps(chunk, ensure_ascii=False) + "\n\ndata: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
ask = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
for name in ("ollama", "huggingface", "openai"):
    for case in CASES:
        base, text = f"http://127.0.0.1:{server.server_port}/{case}", ""
        try:
            if name == "ollama":
                client = ollama.Client(host=base)
                text = "".join(part.message.content for part in client.chat(**ask))
            elif name == "huggingface":
                client = InferenceClient(base_url=base, api_key="k")
                text = "".join(part.choices[0].delta.content for part in client.chat_completion(**ask))
            else:
                client = openai.OpenAI(base_url=base, api_key="k", max_retries=0)
                text = "".join(part.choices[0].delta.content for part in client.chat.completions.create(**ask))
            print(name, case, repr(text))
        except Exception as e:
            print(name, case, type(e).__name__)
PY
sed -n 's/^#   \(.* U+.* .*\)$/\1/p' "$0" | grep -v ' and \|there' | diff - "$tmp/seen"
