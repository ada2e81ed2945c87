// Package anthropic speaks Anthropic's Messages API for chat and legacy
// completions, blocking and streaming. There are no embeddings.
//
// The way in: [Translator.Request] sorts the parameters (params.go, thinking.go),
// writes tools (tool.go, name.go, schema.go) and the conversation
// (conversation.go, media.go). Anthropic wants the system text apart, roles that
// alternate, every tool result at the head of the turn after its call, and no
// empty text; OpenAI's clients know none of these rules.
//
// The way back: decoder.go reads the whole answer or its events and reports them
// to a chat.Writer. Tool names that were not Anthropic's to accept come back as
// the client wrote them. What OpenAI has no place for (citations, results of
// Anthropic's own tools) travels in provider_specific_fields.
//
// What a model takes (thinking budgets or efforts, a schema for its answer) is
// read from its name in model.go. The API's reference:
// https://platform.claude.com/docs/en/api/messages
package anthropic
