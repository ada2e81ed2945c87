#!/usr/bin/env bash
# Packages: litellm 1.110.2 with the price map that it ships (LITELLM_LOCAL_MODEL_COST_MAP), genai-prices 0.2.3 with the one
#   that it ships: the book behind LiteLLM's x-litellm-response-cost, and the one behind Pydantic AI's cost.
# Expected: the same dollars, to the rounding, for the same usage of the same model: a model has one price page.
# What happens: of 684 comparisons (every model of eleven providers that both know; 1000 + 1000 tokens, 10,000 of which 9,000
#   cached, 300,000 + 1000) 41 differ by more than 2 %. They differ in kind: the long-context price, a price for cached
#   tokens, a fee for each request, a price that has changed. Neither book is always the dearer one.
# Seen on 2026-11-30 (LiteLLM, genai-prices, how many times the second is the first):
#   anthropic claude-sonnet-4-5 300000+1000 0.915000 1.822500 1.99
#   openai gpt-5.6-cyber 300000+1000 7.612500 3.825000 0.50
#   deepseek deepseek-v3.2 9000-of-10000-cached 0.000532 0.002288 4.30
#   x-ai grok-code-fast-1 9000-of-10000-cached 0.002800 0.000380 0.14
#   perplexity sonar 1000+1000 0.002000 0.014000 7.00
#   openai gpt-4o 9000-of-10000-cached 0.013750 0.013750 1.00
# Why it matters: the gateway's cost and the agent's cost of one and the same call stand in one trace and differ by up to
#   seven times. Prices have to be given in the gateway's own configuration where money depends on them.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q litellm==1.110.2 genai-prices==0.2.3
LITELLM_LOCAL_MODEL_COST_MAP=True "$tmp/venv/bin/python" - <<'PY' | tee "$tmp/seen"
import datetime, warnings
warnings.filterwarnings("ignore")
import litellm
from genai_prices import Usage as Tokens, calc_price

DAY = datetime.datetime(2026, 11, 30, tzinfo=datetime.timezone.utc)
LITELLM = {"x-ai": "xai"}
for provider, model, prompt, answer, cached in (
        ("anthropic", "claude-sonnet-4-5", 300_000, 1000, 0), ("openai", "gpt-5.6-cyber", 300_000, 1000, 0),
        ("deepseek", "deepseek-v3.2", 10_000, 0, 9000), ("x-ai", "grok-code-fast-1", 10_000, 0, 9000),
        ("perplexity", "sonar", 1000, 1000, 0), ("openai", "gpt-4o", 10_000, 0, 9000)):
    usage = litellm.Usage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer,
                          prompt_tokens_details={"cached_tokens": cached})
    one = litellm.completion_cost(completion_response=litellm.ModelResponse(model=model, usage=usage),
                                  model=model, custom_llm_provider=LITELLM.get(provider, provider))
    other = float(calc_price(Tokens(input_tokens=prompt, output_tokens=answer, cache_read_tokens=cached),
                             model_ref=model, provider_id=provider, genai_request_timestamp=DAY).total_price)
    case = f"{cached}-of-{prompt}-cached" if cached else f"{prompt}+{answer}"
    print(f"{provider} {model} {case} {one:.6f} {other:.6f} {other / one:.2f}")
PY
sed -n 's/^#   \([a-z-]* .* 0\.[0-9]* .*\|[a-z-]* .* 7\.61.*\)$/\1/p' "$0" | grep -v '%' | diff - "$tmp/seen"
