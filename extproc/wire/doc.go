// Package wire is how the service speaks with Envoy: it reads the messages of an
// ext_proc stream and builds the answers to them, and knows nothing of models,
// plans or attempts.
//
// One message goes through it so:
//
//  1. gRPC reads it with [Codec]. Headers share their memory (headermap.go); a large
//     body stays where gRPC received it (codec.go).
//  2. It is looked at as a [Message]: which [Phase] of the request it is about, its
//     headers, its piece of a body, its attributes and metadata (message.go).
//  3. [Order] refuses what no Envoy of ours sends at this point of a stream
//     (order.go).
//  4. What is to change becomes a [HeaderMutation] (headermutation.go) and
//     [Metadata] (metadata.go); a function of answer.go makes an [Answer] of them.
//     No other package builds a ProcessingResponse.
//  5. [Sender] sends it, one at a time, and nothing after an immediate response
//     (sender.go). [Codec] writes it; a large body is not copied.
//
// What every request pays for is protobuf written by hand: see decision 011
// (docs/decisions) for what that saves. The fuzz targets hold it to what protobuf
// itself reads and writes.
//
// Messages and answers hold keys and prompts: nothing here prints one, and no error
// quotes one.
package wire
