#!/usr/bin/env bash
# Package: genai 0.7.2 (Rust), OpenAI adapter with captured tool calls.
# Expected: one tool call. The members of a streamed tool call are joined by `index`; OpenAI's schema says no more of it
#   than integer: a key, whatever the first one is.
# What happens: `index` is a place in a Vec, and a gap is filled with *copies of the call that opened it*. A stream whose
#   only call has index 1 (a gateway that hands on Anthropic's block index, where text is block 0; servers that count
#   from 1) ends with two calls of the same id: one with the arguments of the first chunk, one with all of them.
# Seen on 2026-11-30:
#   index 0: [pay call_a {"eur":5}]
#   index 1: [pay call_a ""] [pay call_a {"eur":5}]
# Why it matters: an agent runs every call that it is given: the tool runs twice, once without arguments, and there are two
#   results for one id in the next request. A gateway should count tool calls from 0 itself.
set -euo pipefail
tmp=$(mktemp -d); trap 'kill "$mock" 2>/dev/null || true; rm -rf "$tmp"' EXIT
mock=
mkdir -p "$tmp/src"
cat > "$tmp/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"
[dependencies]
genai = "=0.7.2"
tokio = { version = "1", features = ["rt", "macros"] }
futures = "0.3"
[profile.dev]
debug = 0
TOML
cat > "$tmp/src/main.rs" <<'RUST'
use futures::StreamExt;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget, adapter::AdapterKind};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for index in ["0", "1"] {
        let base = format!("{}/{index}/", std::env::args().nth(1).unwrap());
        let resolver = ServiceTargetResolver::from_resolver_fn(move |t: ServiceTarget| -> genai::resolver::Result<ServiceTarget> {
            let model = ModelIden::new(AdapterKind::OpenAI, t.model.model_name);
            Ok(ServiceTarget { endpoint: Endpoint::from_owned(base.clone()), auth: AuthData::from_single("k"), model })
        });
        let client = Client::builder().with_service_target_resolver(resolver).build().unwrap();
        let options = ChatOptions::default().with_capture_tool_calls(true);
        let request = ChatRequest::new(vec![ChatMessage::user("hi")]);
        let mut stream = client.exec_chat_stream("m", request, Some(&options)).await.unwrap().stream;
        print!("index {index}:");
        while let Some(event) = stream.next().await {
            if let ChatStreamEvent::End(end) = event.unwrap() {
                for call in end.captured_tool_calls().unwrap_or_default() {
                    print!(" [{} {} {}]", call.fn_name, call.call_id, call.fn_arguments);
                }
            }
        }
        println!();
    }
}
RUST
cat > "$tmp/mock.py" <<'PY'
import http.server, json, sys, threading
class Provider(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        index = int(self.path.split("/")[1])
        call = lambda function, **more: {"tool_calls": [{"index": index, "function": function, **more}]}
        parts = [({"role": "assistant", "content": "Let me pay."}, None), (call({"name": "pay", "arguments": ""}, id="call_a", type="function"), None),
                 (call({"arguments": '{"eur":'}), None), (call({"arguments": "5}"}), None), ({}, "tool_calls")]
        body = "".join("data: " + json.dumps({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": d, "finish_reason": f}]}) + "\n\n" for d, f in parts) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
print(server.server_port, file=open(sys.argv[1], "w"), flush=True)
stop = threading.Timer(60, server.shutdown)
stop.daemon = True
stop.start()
server.serve_forever()
PY
cargo build -q --manifest-path "$tmp/Cargo.toml"
python3 "$tmp/mock.py" "$tmp/port" & mock=$!
until [ -s "$tmp/port" ]; do sleep 0.1; done
"$tmp/target/debug/finding" "http://127.0.0.1:$(cat "$tmp/port")" | tee "$tmp/seen"
sed -n 's/^#   \(index \)/\1/p' "$0" | diff - "$tmp/seen"
