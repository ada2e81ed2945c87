#!/usr/bin/env bash
# Packages: jinja2 3.1.6 (Python), minijinja 3.1.0 (Rust's, as a wheel), @huggingface/jinja 0.5.11 (JavaScript).
# Expected: one prompt. A model's chat template is a Jinja text that ships with its weights, and `tools | tojson` in it is how
#   many models are told of tools.
# What happens: three prompts. jinja2 sorts the members by name and escapes for HTML and ASCII; minijinja keeps the order and
#   escapes for HTML; Hugging Face's keeps the order and escapes nothing. A null is None twice and nothing once.
# Seen on 2026-11-30:
#   jinja2      [{"description": "a \u003c b, caf\u00e9", "name": "f"}] None
#   minijinja   [{"name": "f", "description": "a \u003c b, café"}] None
#   huggingface [{"name": "f", "description": "a < b, café"}]
# Why it matters: the same request at two servers of one model is another text: other counts of tokens, perhaps another answer,
#   and no hit in a prefix cache when a gateway moves a conversation from one to the other. A gateway that counts a tool's
#   tokens by rendering the template is right for one kind of server at most.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q jinja2==3.1.6 minijinja==3.1.0
(cd "$tmp" && npm init -y >npm.log && npm install --silent --no-audit --no-fund @huggingface/jinja@0.5.11)
"$tmp/venv/bin/python" - <<'PY' >"$tmp/seen"
import jinja2, minijinja
template = "{{ tools | tojson }} {{ none }}"
tools = [{"name": "f", "description": "a < b, café"}]
print("jinja2     ", jinja2.Environment().from_string(template).render(tools=tools))
print("minijinja  ", minijinja.Environment().render_str(template, tools=tools))
PY
cat > "$tmp/ask.mjs" <<'JS'
import { Template } from "@huggingface/jinja";
const tools = [{ name: "f", description: "a < b, café" }];
console.log(("huggingface " + new Template("{{ tools | tojson }} {{ none }}").render({ tools })).trimEnd());
JS
node "$tmp/ask.mjs" >>"$tmp/seen"
cat "$tmp/seen"
sed -n 's/^#   \(\(jinja2\|minijinja\|huggingface\) *\[.*\)$/\1/p' "$0" | diff - "$tmp/seen"
