"""LangChain's ChatOpenAI: invoke, stream, tools, structured output, errors."""

import asyncio

import openai
import pydantic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from checks import CHAT, GATEWAY, GREETING, KEY, PNG, check, equal, main


def llm(model, **more):
    return ChatOpenAI(model=model, base_url=GATEWAY + "/v1", api_key=KEY, max_retries=0, timeout=30, **more)


@tool
def get_weather(city: str, unit: str = "°C") -> dict:
    """The weather in a city."""
    return {"celsius": {"Paris": 12, "Oslo": 3}[city]}


@tool
def to_fahrenheit(celsius: float) -> str:
    """Converts a temperature."""
    return f"{celsius * 9 / 5 + 32:.1f} °F"


TOOLS = {t.name: t for t in [get_weather, to_fahrenheit]}


@check("invokes", CHAT)
def invoke(model):
    answer = llm(model, temperature=0.5).invoke([SystemMessage("Be brief."), HumanMessage("hello")])
    equal(answer.content, GREETING)
    equal((answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]), (21, 9))
    equal(answer.response_metadata["finish_reason"], "stop")


@check("streams", CHAT)
def stream(model):
    chunks = list(llm(model, stream_usage=True).stream("hello"))
    equal("".join(x.content for x in chunks), GREETING)
    whole = chunks[0]
    for x in chunks[1:]:
        whole += x
    equal(whole.usage_metadata["total_tokens"], 30)


@check("streams asynchronously", ["anthropic"])
def stream_async(model):
    async def read():
        return "".join([x.content async for x in llm(model).astream("hello")])

    equal(asyncio.run(read()), GREETING)


def run(model, get):
    bound = llm(model).bind_tools(list(TOOLS.values()))
    messages = [HumanMessage("compare them (bare)")]
    for _ in range(3):
        answer = get(bound, messages)
        messages.append(answer)
        for call in answer.tool_calls:
            result = TOOLS[call["name"]].invoke(call)
            if call["name"] == "get_weather":
                result = ToolMessage(result.content.replace(" ", ""), tool_call_id=call["id"])
            messages.append(result)
    equal(answer.content, "Paris: 53.6 °F, Oslo: 37.4 °F")


@check("runs an agent with bound tools", CHAT)
def agent(model):
    run(model, lambda bound, messages: bound.invoke(messages))


@check("runs an agent with bound tools on streams", CHAT)
def agent_streamed(model):
    def get(bound, messages):
        whole = None
        for x in bound.stream(messages):
            whole = x if whole is None else whole + x
        return whole

    run(model, get)


class Report(pydantic.BaseModel):
    """The weather in a city."""

    city: str
    celsius: float


@check("fills in a schema", CHAT)
def structured(model):
    equal(llm(model).with_structured_output(Report, method="json_schema").invoke("report"), Report(city="Paris", celsius=12))


@check("looks at an image", CHAT)
def image(model):
    content = [{"type": "text", "text": "look"}, {"type": "image", "base64": PNG, "mime_type": "image/png"}]
    equal(llm(model).invoke([HumanMessage(content)]).content, "I see one pixel.")


@check("embeds", ["embed-gemini", "embed-ollama"])
def embed(model):
    e = OpenAIEmbeddings(model=model, base_url=GATEWAY + "/v1", api_key=KEY, check_embedding_ctx_length=False)
    equal(e.embed_documents(["four", "sixsix"]), [[0.25, -0.5, 4.0], [0.25, -0.5, 6.0]])


@check("raises the client's exceptions", CHAT)
def errors(model):
    try:
        llm(model).invoke("fail 429 scripted words")
    except openai.RateLimitError as e:  # or LangChain's own kind of it
        assert "scripted words" in str(e), e
    else:
        raise AssertionError("nothing was raised")


main()
