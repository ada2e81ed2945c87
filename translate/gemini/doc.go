// Package gemini speaks to Google AI Studio's generateContent API in the name of
// an OpenAI client.
//
// On the way out (request.go): system messages become the one
// systemInstruction, the rest alternates between user and model turns
// (contents.go, media.go), functions are declared with a cleaned-up schema
// (tool.go, schema.go) and everything that steers the model goes to
// generationConfig (config.go, model.go). Thought signatures that an earlier
// answer carried are replayed on the part they came with: Gemini 3 refuses a
// conversation that lost them.
//
// On the way back (decoder.go, candidate.go): a stream is a series of whole
// GenerateContentResponse objects, so blocking and streaming answers are read by
// the same code. Failures are in failure.go, embeddings in embedding.go.
//
// https://ai.google.dev/api/generate-content
package gemini
