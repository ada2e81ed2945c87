// Package chat is the pivot between OpenAI's format and every provider's.
//
// On the way in, [Parse] reads a client's body once: strictly, with the place of
// each member, and no deeper than it must. A provider that speaks OpenAI's
// format gets that text edited in place. For a provider with a format of its
// own, [Request.Completion] decodes the rest (messages, tools, formats) the
// first time it is asked, once for all attempts of a cascade.
//
// On the way back, a [Feeder] cuts the answer into what a provider's decoder reads
// at a time (a body, an event, a line). The decoder says what it read (text, a tool
// call, a finish reason) to a [Writer], which alone knows how OpenAI writes it:
// as chunks of an event stream while they come, or as one JSON answer. So each
// provider is mapped once, for streaming and blocking answers alike, and the
// rules of the stream (role first, one finish reason, usage last) are kept in
// one place.
package chat
