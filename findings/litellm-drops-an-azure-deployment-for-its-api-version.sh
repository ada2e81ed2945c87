#!/usr/bin/env bash
# Packages: litellm 1.110.2 (its Router, with ignore_invalid_deployments as its proxy sets it), PyYAML 6.0.3.
# Expected: two deployments. Azure's api-version is a date: 2024-10-21 is a release, 2024-08-01-preview a preview, and
#   both look alike in a configuration file.
# What happens: YAML 1.1 reads the release, without quotes, as a date; only the preview stays a text. LiteLLM wants a text,
#   refuses the deployment, logs it, and starts without it. Trying a release in place of a preview loses the deployment,
#   and where the group has a second one every request goes there.
# Seen on 2026-11-30:
#   date 2024-10-21
#   str 2024-08-01-preview
#   deployments: ['azure/preview']
#   with quotes: ['azure/release', 'azure/preview']
# Why it matters: who reads LiteLLM's configuration beside LiteLLM has to decide what an unquoted date is; the text as it
#   stands is what its writer meant. With LiteLLM itself the loss is an error in the log of the start, and nothing else.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q litellm==1.110.2 PyYAML==6.0.3
LITELLM_LOCAL_MODEL_COST_MAP=True "$tmp/venv/bin/python" - 2>"$tmp/log" <<'PY' | tee "$tmp/seen"
import warnings
warnings.filterwarnings("ignore")
import litellm, yaml

CONFIG = """
- model_name: chat
  litellm_params: {model: azure/release, api_key: k, api_base: "http://127.0.0.1:9", api_version: 2024-10-21}
- model_name: chat
  litellm_params: {model: azure/preview, api_key: k, api_base: "http://127.0.0.1:9", api_version: 2024-08-01-preview}
"""
def served(models):
    router = litellm.Router(model_list=models, ignore_invalid_deployments=True)
    return [d["litellm_params"]["model"] for d in router.get_model_list()]

models = yaml.safe_load(CONFIG)
for m in models:
    version = m["litellm_params"]["api_version"]
    print(type(version).__name__, version)
print("deployments:", served(models))
print("with quotes:", served(yaml.safe_load(CONFIG.replace("2024-10-21", '"2024-10-21"'))))
PY
sed -n 's/^#   \(\(date\|str\|deployments:\|with quotes:\) .*\)$/\1/p' "$0" | diff - "$tmp/seen"
