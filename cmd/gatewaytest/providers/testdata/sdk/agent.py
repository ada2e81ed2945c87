"""An agent with tools on the official Python client: two rounds of two calls, an
answer, and a word of thanks. It knows nothing of providers: it sends the
assistant's message back as it got it, or as little of it as OpenAI defines."""

import json

from checks import CHAT, TOOLS, check, client, equal, main

c = client()


def get_weather(city, unit=None):
    return json.dumps({"celsius": {"Paris": 12, "Oslo": 3}[city]}, separators=(",", ":"))


def to_fahrenheit(celsius):
    return f"{celsius * 9 / 5 + 32:.1f} °F"


def blocking(ask):
    return c.chat.completions.create(**ask).choices[0]


def through_helper(ask):
    with c.chat.completions.stream(**ask) as events:
        for _ in events:
            pass
        return events.get_final_completion().choices[0]


class Collected:
    """A stream put together by hand, as most agents do."""

    def __init__(self, ask):
        self.text, self.calls, self.finish_reason = "", [], None
        for chunk in c.chat.completions.create(**ask, stream=True):
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            self.text += delta.content or ""
            for x in delta.tool_calls or []:
                if x.index == len(self.calls):
                    assert x.id and x.function.name, x
                    self.calls.append({"id": x.id, "type": "function", "function": {"name": x.function.name, "arguments": ""}})
                else:
                    assert not x.id, x
                self.calls[x.index]["function"]["arguments"] += x.function.arguments or ""
            self.finish_reason = chunk.choices[0].finish_reason or self.finish_reason


def bare_message(choice):
    if isinstance(choice, Collected):
        text, calls = choice.text, choice.calls
    else:
        text = choice.message.content
        calls = [x.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}}) for x in choice.message.tool_calls or []]
    message = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    return message


def whole_message(choice):
    return choice.message


def run(model, get, keep, ask, **more):
    """Runs the loop to its end and returns the ids of the calls it made."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ask}]
    ids, rounds = [], 0
    while True:
        choice = get(dict(model=model, messages=messages, tools=TOOLS, max_tokens=8000, **more))
        message = keep(choice)
        messages.append(message)
        calls = bare_message(choice).get("tool_calls")
        if not calls:
            equal(choice.finish_reason, "stop")
            break
        equal(choice.finish_reason, "tool_calls")
        equal(len(calls), 2)
        rounds += 1
        for x in calls:
            ids.append(x["id"])
            f = {"get_weather": get_weather, "to_fahrenheit": to_fahrenheit}[x["function"]["name"]]
            messages.append({"role": "tool", "tool_call_id": x["id"], "content": f(**json.loads(x["function"]["arguments"]))})
    equal(rounds, 2)
    equal(bare_message(choice)["content"], "Paris: 53.6 °F, Oslo: 37.4 °F")
    messages.append({"role": "user", "content": "thanks" + ask[len("compare them") :]})
    last = get(dict(model=model, messages=messages, tools=TOOLS, max_tokens=8000, **more))
    equal(bare_message(last)["content"], "You are welcome.")
    equal(len(set(ids)), 4)
    return ids


def effort(model):
    """Thinking is asked for in OpenAI's words."""
    return {} if model in ("openai", "azure") else {"reasoning_effort": "high"}


@check("runs an agent", CHAT)
def whole(model):
    ids = run(model, blocking, whole_message, "compare them", **effort(model))
    if model == "openai":
        equal(ids, ["call_a1", "call_b2", "call_c3", "call_d4"])


@check("runs an agent on streams", CHAT)
def streamed(model):
    run(model, through_helper, whole_message, "compare them", **effort(model))


@check("runs an agent that keeps only what OpenAI defines", CHAT)
def bare(model):
    run(model, blocking, bare_message, "compare them (bare)", **effort(model))


@check("runs an agent on streams that keeps only what OpenAI defines", CHAT)
def bare_streamed(model):
    run(model, Collected, bare_message, "compare them (bare)", **effort(model))


main()
