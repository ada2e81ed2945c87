"""What the scripts share: clients of the gateway, and a list of checks.

A check is a function. Each is run and reported on a line of JSON:
{"check": what is tried, "error": what was wrong, or ""}.
"""

import inspect
import json
import os
import sys
import traceback

import openai

GATEWAY = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]

CHAT = ["openai", "azure", "anthropic", "gemini", "gemini-2.5", "ollama"]
EMBEDDINGS = ["embed-openai", "embed-azure", "embed-gemini", "embed-ollama"]
GREETING = "Good day to you, dear client — ☕"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["°C", "°F"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FAHRENHEIT = {
    "type": "function",
    "function": {
        "name": "to_fahrenheit",
        "parameters": {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]},
    },
}
TOOLS = [WEATHER, FAHRENHEIT]

_checks = []


def client(**more):
    return openai.OpenAI(**{"base_url": GATEWAY + "/v1", "api_key": KEY, "max_retries": 0, "timeout": 30, **more})


def user(text):
    return [{"role": "user", "content": text}]


def check(name, each=None):
    """Registers a check, or one for each value, which it is called with."""

    def register(f):
        for value in [None] if each is None else each:
            _checks.append((name if value is None else f"{value} {name}", f, value))
        return f

    return register


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def raises(kind, f):
    """Returns the error of exactly this kind that f raises."""
    try:
        f()
    except Exception as e:
        assert type(e) is kind, f"got {type(e).__name__}: {e}, want {kind.__name__}"
        return e
    raise AssertionError(f"nothing was raised, want {kind.__name__}")


def main():
    for name, f, value in _checks:
        error = ""
        try:
            f(*([] if not inspect.signature(f).parameters else [value]))
        except Exception:
            error = traceback.format_exc(limit=-4)
        print(json.dumps({"check": name, "error": error}), flush=True)
    sys.exit(0)
