"""The official Python client's exceptions: each failure raises the right one."""

import openai

from checks import CHAT, check, client, equal, main, raises, user

c = client()


def failing(model, status, words="scripted words"):
    return lambda: c.chat.completions.create(model=model, messages=user(f"fail {status} {words}"))


@check("an unknown model is NotFoundError")
def unknown_model():
    e = raises(openai.NotFoundError, lambda: c.chat.completions.create(model="nope", messages=user("hello")))
    equal((e.code, e.param, e.status_code), ("model_not_found", "model", 404))
    raises(openai.NotFoundError, lambda: c.models.retrieve("nope"))


@check("a wrong key is AuthenticationError")
def wrong_key():
    for key in ["sk-wrong", "x"]:
        wrong = client(api_key=key)
        e = raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="openai", messages=user("hello")))
        equal((e.code, e.status_code), ("invalid_api_key", 401))
        raises(openai.AuthenticationError, lambda: list(wrong.models.list()))


@check("no key is AuthenticationError")
def no_key():
    bare = {"Authorization": openai.Omit()}
    raises(openai.AuthenticationError, lambda: c.chat.completions.create(model="openai", messages=user("hello"), extra_headers=bare))


@check("a body without messages is BadRequestError")
def bad_request():
    e = raises(openai.BadRequestError, lambda: c.post("/chat/completions", body={"model": "openai"}, cast_to=object))
    equal(e.param, "messages")


@check("what a provider lacks is BadRequestError and names it", ["anthropic", "ollama"])
def lacking(model):
    e = raises(openai.BadRequestError, lambda: c.chat.completions.create(model=model, messages=user("hello"), logit_bias={"1": 1}))
    assert "logit_bias" in str(e), e


@check("an endpoint that a provider lacks is BadRequestError")
def no_embeddings():
    raises(openai.BadRequestError, lambda: c.embeddings.create(model="anthropic", input="x"))


@check("400 is BadRequestError", CHAT)
def status_400(model):
    e = raises(openai.BadRequestError, failing(model, 400))
    assert "scripted words" in e.message, e
    equal(e.type, "invalid_request_error")


@check("a prompt that is too long has OpenAI's code", CHAT)
def context_length(model):
    words = {
        "anthropic": "prompt is too long: 250000 tokens > 200000 maximum",
        "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "gemini-2.5": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "ollama": "the input length exceeds the context length",
    }.get(model, "This model's maximum context length is 128000 tokens. However, your messages resulted in 250000 tokens.")
    e = raises(openai.BadRequestError, failing(model, 400, words))
    equal(e.code, "context_length_exceeded")


@check("403 is PermissionDeniedError", CHAT)
def status_403(model):
    e = raises(openai.PermissionDeniedError, failing(model, 403))
    assert e.type in ("permission_error", "invalid_request_error"), e.type


@check("404 is NotFoundError", CHAT)
def status_404(model):
    raises(openai.NotFoundError, failing(model, 404, "the model was not found here"))


@check("422 is UnprocessableEntityError", CHAT)
def status_422(model):
    raises(openai.UnprocessableEntityError, failing(model, 422))


@check("429 is RateLimitError and says when to try again", CHAT)
def status_429(model):
    e = raises(openai.RateLimitError, failing(model, 429))
    assert "scripted words" in e.message, e
    equal(e.type, "tokens" if model == "openai" else "rate_limit_error")  # OpenAI's own type stays
    if model not in ("azure", "ollama"):  # these said nothing
        equal(e.response.headers["retry-after"], "7")


@check("500 is InternalServerError", CHAT)
def status_500(model):
    e = raises(openai.InternalServerError, failing(model, 500))
    assert "scripted words" in e.message, e
    equal(e.type, "server_error")


@check("529 is InternalServerError too", ["anthropic"])
def status_529(model):
    e = raises(openai.InternalServerError, failing(model, 529))
    equal((e.status_code, e.type), (529, "overloaded_error"))


@check("fails before the first chunk of a stream like without one", CHAT)
def stream_429(model):
    ask = user("fail 429 scripted words")
    raises(openai.RateLimitError, lambda: c.chat.completions.create(model=model, messages=ask, stream=True))


@check("an error inside a stream is APIError, after the text before it", CHAT)
def break_in_stream(model):
    text = ""

    def read():
        nonlocal text
        for chunk in c.chat.completions.create(model=model, messages=user("break"), stream=True):
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                equal(chunk.choices[0].finish_reason, None)

    e = raises(openai.APIError, read)
    assert "scripted break" in e.message, e
    assert text in ("Half", "Half an answer"), text


@check("a client that retries by itself gets its answer's last error")
def retries():
    e = raises(openai.InternalServerError, lambda: client(max_retries=1).chat.completions.create(model="openai", messages=user("fail 503 scripted words")))
    equal(e.status_code, 503)


main()
