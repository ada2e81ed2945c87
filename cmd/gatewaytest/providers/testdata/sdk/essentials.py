"""The official Python client: all it asks of a gateway, of each provider."""

import asyncio

import openai
import pydantic

from checks import CHAT, EMBEDDINGS, GATEWAY, GREETING, KEY, PNG, TOOLS, check, client, equal, main, user

c = client()


def check_usage(usage):
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (21, 9, 30))


@check("chats", CHAT)
def chat(model):
    answer = c.chat.completions.create(model=model, messages=[{"role": "system", "content": "Be brief."}, *user("hello")], temperature=0.5, max_tokens=2000)
    equal(answer.object, "chat.completion")
    equal(len(answer.choices), 1)
    equal(answer.choices[0].message.role, "assistant")
    equal(answer.choices[0].message.content, GREETING)
    equal(answer.choices[0].message.tool_calls, None)
    equal(answer.choices[0].finish_reason, "stop")
    assert answer.id and answer.model and answer.created > 0, answer
    check_usage(answer.usage)
    if model != "ollama":
        equal(answer.usage.prompt_tokens_details.cached_tokens, 8)


@check("tells who answered in its headers", CHAT)
def headers(model):
    raw = c.chat.completions.with_raw_response.create(model=model, messages=user("hello"))
    equal(raw.headers["x-isthmus-attempts"], "1")
    equal(raw.headers["x-isthmus-model-group"], model)
    equal(raw.headers["content-type"], "application/json")
    for name in ["set-cookie", "openai-organization", "anthropic-organization-id"]:
        assert name not in raw.headers, raw.headers
    equal(raw.parse().choices[0].message.content, GREETING)


def check_stream(chunks, usage):
    text = "".join(x.choices[0].delta.content or "" for x in chunks if x.choices)
    equal(text, GREETING)
    equal(chunks[0].choices[0].delta.role, "assistant")
    equal([x.choices[0].finish_reason for x in chunks if x.choices and x.choices[0].finish_reason], ["stop"])
    equal({x.object for x in chunks}, {"chat.completion.chunk"})
    equal(len({x.id for x in chunks}), 1)
    assert chunks[0].id and chunks[0].model, chunks[0]
    assert sum(bool(x.choices and x.choices[0].delta.content) for x in chunks) >= 3, "the pieces came together"
    told = [x for x in chunks if x.usage]
    if not usage:
        equal(told, [])
        assert all(x.choices for x in chunks), "a chunk without choices came unasked"
        return
    equal(told, chunks[-1:])
    equal(told[0].choices, [])
    check_usage(told[0].usage)


@check("streams", CHAT)
def stream(model):
    check_stream(list(c.chat.completions.create(model=model, messages=user("hello"), stream=True)), usage=False)


@check("streams with usage", CHAT)
def stream_usage(model):
    check_stream(list(c.chat.completions.create(model=model, messages=user("hello"), stream=True, stream_options={"include_usage": True})), usage=True)


@check("streams through the helper", CHAT)
def stream_helper(model):
    with c.chat.completions.stream(model=model, messages=user("hello")) as events:
        kinds = [e.type for e in events]
        final = events.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds, kinds
    equal(final.choices[0].message.content, GREETING)
    equal(final.choices[0].finish_reason, "stop")
    if model == "anthropic":
        citations = final.choices[0].message.provider_specific_fields["citations"]
        equal("".join(x["cited_text"] for x in citations), GREETING)


@check("shows its reasoning", ["anthropic", "gemini", "gemini-2.5", "ollama"])
def reasoning(model):
    ask = dict(model=model, messages=user("hello"), reasoning_effort="high", max_tokens=8000)
    answer = c.chat.completions.create(**ask)
    equal(answer.choices[0].message.reasoning_content, "They greet me.")
    equal(answer.choices[0].message.content, GREETING)
    deltas = [x.choices[0].delta for x in c.chat.completions.create(**ask, stream=True) if x.choices]
    equal("".join(getattr(d, "reasoning_content", None) or "" for d in deltas), "They greet me.")
    equal("".join(d.content or "" for d in deltas), GREETING)


@check("calls tools in parallel", CHAT)
def tools(model):
    answer = c.chat.completions.create(model=model, messages=user("compare them (bare)"), tools=TOOLS, tool_choice="auto", parallel_tool_calls=True)
    calls = answer.choices[0].message.tool_calls
    equal(answer.choices[0].finish_reason, "tool_calls")
    equal([x.function.name for x in calls], ["get_weather", "get_weather"])
    equal([x.function.arguments for x in calls], ['{"city":"Paris"}', '{"city":"Oslo","unit":"°C"}'])
    equal({x.type for x in calls}, {"function"})
    assert all(x.id for x in calls) and calls[0].id != calls[1].id, calls


@check("streams tool calls", CHAT)
def tools_streamed(model):
    kinds = []
    with c.chat.completions.stream(model=model, messages=user("compare them (bare)"), tools=TOOLS) as events:
        for e in events:
            if e.type == "tool_calls.function.arguments.done":
                kinds.append((e.index, e.name, e.arguments))
        final = events.get_final_completion()
    equal(kinds, [(0, "get_weather", '{"city":"Paris"}'), (1, "get_weather", '{"city":"Oslo","unit":"°C"}')])
    equal(final.choices[0].finish_reason, "tool_calls")


class Report(pydantic.BaseModel):
    city: str
    celsius: float


@check("fills in a schema", CHAT)
def structured(model):
    answer = c.chat.completions.parse(model=model, messages=user("report"), response_format=Report)
    equal(answer.choices[0].message.parsed, Report(city="Paris", celsius=12))
    with c.chat.completions.stream(model=model, messages=user("report"), response_format=Report) as events:
        for _ in events:
            pass
        equal(events.get_final_completion().choices[0].message.parsed, Report(city="Paris", celsius=12))


@check("looks at an image", CHAT)
def image(model):
    content = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}]
    answer = c.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    equal(answer.choices[0].message.content, "I see one pixel.")


@check("completes a text", ["openai", "azure"])
def completion(model):
    answer = c.completions.create(model=model, prompt="Once upon a time")
    equal((answer.object, answer.choices[0].text, answer.choices[0].finish_reason), ("text_completion", "…and so on", "stop"))
    check_usage(answer.usage)
    chunks = list(c.completions.create(model=model, prompt="Once upon a time", stream=True))
    equal("".join(x.choices[0].text for x in chunks), "…and so on")


@check("completes a text with a chat model", ["anthropic", "gemini", "ollama"])
def chat_completion(model):
    answer = c.completions.create(model=model, prompt="hello")
    equal((answer.object, answer.choices[0].text, answer.choices[0].finish_reason), ("text_completion", GREETING, "stop"))
    check_usage(answer.usage)
    chunks = list(c.completions.create(model=model, prompt="hello", stream=True))
    equal("".join(x.choices[0].text for x in chunks), GREETING)
    equal(chunks[-1].choices[0].finish_reason, "stop")


@check("embeds", EMBEDDINGS)
def embed(model):
    for more in [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}]:
        answer = c.embeddings.create(model=model, input=["four", "sixsix"], **more)
        equal([x.index for x in answer.data], [0, 1])
        if more.get("encoding_format") != "base64":  # left out, the client asks for base64 and decodes it
            equal([x.embedding for x in answer.data], [[0.25, -0.5, 4.0], [0.25, -0.5, 6.0]])
        else:
            equal([x.embedding for x in answer.data], ["AACAPgAAAL8AAIBA", "AACAPgAAAL8AAMBA"])
    equal(len(c.embeddings.create(model=model, input="one").data), 1)


@check("lists the models")
def models():
    equal([x.id for x in c.models.list()], CHAT + EMBEDDINGS)
    got = c.models.retrieve("gemini-2.5")
    equal((got.id, got.object), ("gemini-2.5", "model"))


@check("serves Azure's client", CHAT)
def azure(model):
    a = openai.AzureOpenAI(azure_endpoint=GATEWAY, api_key=KEY, api_version="2024-10-21", max_retries=0)
    equal(a.chat.completions.create(model=model, messages=user("hello")).choices[0].message.content, GREETING)
    chunks = list(a.chat.completions.create(model=model, messages=user("hello"), stream=True))
    equal("".join(x.choices[0].delta.content or "" for x in chunks if x.choices), GREETING)


@check("serves Azure's client embeddings and a fixed deployment")
def azure_deployment():
    a = openai.AzureOpenAI(azure_endpoint=GATEWAY, azure_deployment="anthropic", api_key=KEY, api_version="2024-10-21", max_retries=0)
    equal(a.chat.completions.create(model="overlooked", messages=user("hello")).choices[0].message.content, GREETING)
    a = openai.AzureOpenAI(azure_endpoint=GATEWAY, api_key=KEY, api_version="2024-10-21", max_retries=0)
    equal(a.embeddings.create(model="embed-gemini", input="four").data[0].embedding, [0.25, -0.5, 4.0])


@check("serves the asynchronous client, many at a time")
def asynchronous():
    async def all_models():
        async with openai.AsyncOpenAI(base_url=GATEWAY + "/v1", api_key=KEY, max_retries=0) as a:

            async def one(model):
                answer = await a.chat.completions.create(model=model, messages=user("hello"))
                return answer.choices[0].message.content

            async def one_stream(model):
                text = ""
                async for x in await a.chat.completions.create(model=model, messages=user("hello"), stream=True):
                    text += x.choices[0].delta.content or ""
                return text

            return await asyncio.gather(*[f(m) for f in (one, one_stream) for m in CHAT * 4])

    equal(set(asyncio.run(all_models())), {GREETING})


main()
