// The official Node client: the essentials, of each provider. Each check is
// reported on a line of JSON: {"check": what is tried, "error": what was wrong}.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const OpenAI = createRequire(process.env.NODE_SDK + "/")("openai");
const { GATEWAY_URL: gateway, GATEWAY_KEY: key } = process.env;

const chatModels = ["openai", "azure", "anthropic", "gemini", "gemini-2.5", "ollama"];
const embeddingModels = ["embed-openai", "embed-azure", "embed-gemini", "embed-ollama"];
const greeting = "Good day to you, dear client — ☕";
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const client = new OpenAI({ baseURL: gateway + "/v1", apiKey: key, maxRetries: 0, timeout: 30_000 });
const user = (content) => [{ role: "user", content }];

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" }, unit: { type: "string", enum: ["°C", "°F"] } },
        required: ["city"],
        additionalProperties: false,
      },
    },
  },
  {
    type: "function",
    function: {
      name: "to_fahrenheit",
      parameters: { type: "object", properties: { celsius: { type: "number" } }, required: ["celsius"] },
    },
  },
];

const handlers = {
  get_weather: ({ city }) => JSON.stringify({ celsius: { Paris: 12, Oslo: 3 }[city] }),
  to_fahrenheit: ({ celsius }) => `${((celsius * 9) / 5 + 32).toFixed(1)} °F`,
};

const checks = [];
const check = (name, f, each) => {
  for (const value of each ?? [undefined]) checks.push([value ? `${value} ${name}` : name, () => f(value)]);
};

check("chats", async (model) => {
  const answer = await client.chat.completions.create({ model, messages: user("hello") });
  assert.equal(answer.choices[0].message.content, greeting);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, 30);
}, chatModels);

check("streams with usage", async (model) => {
  const ask = { model, messages: user("hello"), stream: true, stream_options: { include_usage: true } };
  let text = "";
  let usage;
  for await (const chunk of await client.chat.completions.create(ask)) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, greeting);
  assert.equal(usage.total_tokens, 30);
}, chatModels);

check("streams through the helper", async (model) => {
  const stream = client.chat.completions.stream({ model, messages: user("hello") });
  assert.equal(await stream.finalContent(), greeting);
}, chatModels);

const effort = (model) => (model === "openai" || model === "azure" ? {} : { reasoning_effort: "high" });

const create = async (ask) => (await client.chat.completions.create(ask)).choices[0].message;
const streamed = (ask) => client.chat.completions.stream(ask).finalMessage();

// Runs the loop; the assistant's message goes back as it came.
async function agent(model, get, question) {
  const messages = user(question);
  let message;
  for (let turn = 0; turn < 3; turn++) {
    message = await get({ model, messages, tools, max_tokens: 8000, ...effort(model) });
    messages.push(message);
    for (const call of message.tool_calls ?? []) {
      const content = handlers[call.function.name](JSON.parse(call.function.arguments));
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  assert.equal(message.content, "Paris: 53.6 °F, Oslo: 37.4 °F");
}

check("runs an agent", (model) => agent(model, create, "compare them"), chatModels);

// Of members of a delta that it does not know the client keeps the last value:
// Ollama's thoughts come back in part.
check("runs an agent on streams", (model) => agent(model, streamed, model === "ollama" ? "compare them (bare)" : "compare them"), chatModels);

// The client's own loop keeps only what OpenAI defines.
check("runs the client's own agent on streams", async (model) => {
  const runner = client.chat.completions.runTools({
    model,
    stream: true,
    max_tokens: 8000,
    ...effort(model),
    messages: user("compare them (bare)"),
    tools: tools.map((t) => ({
      type: "function",
      function: { ...t.function, parse: JSON.parse, function: handlers[t.function.name] },
    })),
  });
  assert.equal(await runner.finalContent(), "Paris: 53.6 °F, Oslo: 37.4 °F");
}, chatModels);

check("fills in a schema", async (model) => {
  const schema = {
    type: "object",
    properties: { city: { type: "string" }, celsius: { type: "number" } },
    required: ["city", "celsius"],
    additionalProperties: false,
  };
  const answer = await client.chat.completions.create({
    model,
    messages: user("report"),
    response_format: { type: "json_schema", json_schema: { name: "report", strict: true, schema } },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: "Paris", celsius: 12 });
}, chatModels);

check("looks at an image", async (model) => {
  const content = [
    { type: "text", text: "look" },
    { type: "image_url", image_url: { url: "data:image/png;base64," + png } },
  ];
  const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  assert.equal(answer.choices[0].message.content, "I see one pixel.");
}, chatModels);

check("embeds", async (model) => {
  const answer = await client.embeddings.create({ model, input: ["four", "sixsix"] });
  assert.deepEqual(answer.data.map((d) => d.embedding), [[0.25, -0.5, 4], [0.25, -0.5, 6]]);
}, embeddingModels);

check("lists the models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.deepEqual(ids, [...chatModels, ...embeddingModels]);
  assert.equal((await client.models.retrieve("gemini-2.5")).id, "gemini-2.5");
});

check("serves Azure's client", async () => {
  const azure = new OpenAI.AzureOpenAI({ endpoint: gateway, apiKey: key, apiVersion: "2024-10-21", maxRetries: 0 });
  const answer = await azure.chat.completions.create({ model: "anthropic", messages: user("hello") });
  assert.equal(answer.choices[0].message.content, greeting);
});

check("throws the right errors", async (model) => {
  for (const [status, kind] of [
    [400, OpenAI.BadRequestError],
    [422, OpenAI.UnprocessableEntityError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
  ]) {
    const ask = { model, messages: user(`fail ${status} scripted words`) };
    await assert.rejects(client.chat.completions.create(ask), (e) => {
      assert(e instanceof kind, `${status} is ${e}`);
      assert.match(e.message, /scripted words/);
      return true;
    });
  }
}, chatModels);

check("throws inside a broken stream", async (model) => {
  let text = "";
  await assert.rejects(async () => {
    const stream = await client.chat.completions.create({ model, messages: user("break"), stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  }, (e) => e instanceof OpenAI.APIError && /scripted break/.test(e.message));
  assert.match(text, /^Half/);
}, chatModels);

check("throws for a wrong key and an unknown model", async () => {
  const wrong = new OpenAI({ baseURL: gateway + "/v1", apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(wrong.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(client.chat.completions.create({ model: "nope", messages: user("hello") }), OpenAI.NotFoundError);
});

for (const [name, f] of checks) {
  let error = "";
  try {
    await f();
  } catch (e) {
    error = e.stack ?? String(e);
  }
  console.log(JSON.stringify({ check: name, error }));
}
