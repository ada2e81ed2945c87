package upstream

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// This file decides the kind of a provider's error. Providers disagree about
// statuses: the client's own mistake comes as 500 and 403, an empty account as 400.
// What an error says in members made for machines goes first, then its status; its
// text is asked only where the status is known to mean several things, for whole
// sentences of known providers.

// errorDetails are what a provider's error says, in lower case.
type errorDetails struct {
	words   []string // its types, codes, statuses and reasons
	text    string   // its messages, as much of them as is searched
	flagged bool     // a member says that the prompt was refused for its content
}

// externalConnector is OpenAI's type of error for an MCP server that the request
// names and that does not answer it: the client's, behind the status of a server.
const externalConnector = "external_connector_error"

// maxErrorWords bounds how many words an error has: more are no error's.
const maxErrorWords = 16

// add adds words that are not empty.
func (d *errorDetails) add(words ...string) {
	for _, word := range words {
		if word != "" && len(word) <= maxMember && len(d.words) < maxErrorWords {
			d.words = append(d.words, strings.ToLower(word))
		}
	}
}

// maxSearched bounds the text that is searched for sentences, in bytes: they stand at
// its beginning, and what follows may be the client's own words.
const maxSearched = 2 << 10

// verdict is the kind of a failure, and the status that tells the client of it; 0:
// the provider's own where it says the same, else the kind's.
type verdict struct {
	kind   Kind
	status int
}

// judge sets the kind of an error, and, where the provider's say something else, the
// status, type and code that tell the client of it.
func (e *Error) judge(d *errorDetails) {
	v := d.verdict(e.Status)
	e.Kind = v.kind
	switch {
	case v.status != 0:
	case e.Status < 400 || e.Status > 599:
		v.status = http.StatusBadGateway // a redirect, which providers' APIs do not have, or no status at all
	case isOwnStatus(e.Status, v.kind):
		v.status = e.Status
	default:
		v.status = v.kind.status()
	}
	if v.status != e.Status {
		e.setStatus(v.status)
	}
	switch e.Kind {
	case KindContextWindow:
		e.Code = CodeContextLength
	case KindContentPolicy:
		e.Code = CodeContentFilter
	}
}

// setStatus gives the error another status than the provider's, with the type that
// belongs to it. A code that only repeats the provider's status goes.
func (e *Error) setStatus(status int) {
	e.Status, e.Type = status, TypeOf(status)
	if _, err := strconv.Atoi(e.Code); err == nil {
		e.Code = ""
	}
}

// isOwnStatus reports whether a status says what the kind does.
func isOwnStatus(status int, k Kind) bool {
	switch k {
	case KindContextWindow, KindContentPolicy:
		return kindOfStatus(status) == KindRequest
	case KindUnsupported:
		return status >= 400 && status < 500 || status == http.StatusNotImplemented
	case KindAccount: // OpenAI's clients know an empty account as a 429
		return kindOfStatus(status) == KindAccount || status == http.StatusForbidden || status == http.StatusTooManyRequests
	}
	return kindOfStatus(status) == k
}

// verdict decides what an answer with this status means.
func (d *errorDetails) verdict(status int) verdict {
	if v := d.kindOfWords(status); v.kind != KindUnknown {
		return v
	}
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return d.badRequest(status)
	case http.StatusPaymentRequired:
		if d.contains("can only afford") { // OpenRouter: a smaller max_tokens would do
			return verdict{kind: KindUnsupported}
		}
	case http.StatusForbidden:
		return d.forbidden()
	case http.StatusNotFound:
		return d.notFound()
	case http.StatusFailedDependency:
		if d.hasWord(externalConnector) {
			return verdict{kind: KindUnsupported}
		}
	case http.StatusUnavailableForLegalReasons: // StepFun's answer to a flagged prompt
		return verdict{kind: KindContentPolicy}
	case http.StatusTooManyRequests:
		return d.tooManyRequests()
	case http.StatusInternalServerError:
		return d.serverError()
	}
	return verdict{kind: kindOfStatus(status)}
}

// kindOfWords is what the words of an error name; KindUnknown: nothing. Those of a server
// that fails are trusted only where they name what no failure of its own can be, and a
// 429 has words of its own.
func (d *errorDetails) kindOfWords(status int) verdict {
	for _, word := range d.words {
		switch k := kindOfWord(word); {
		case k == KindUnknown, status == http.StatusTooManyRequests:
		case status >= 500 && k != KindContextWindow && k != KindContentPolicy:
		case k == KindAccount && isBillingWord(word):
			return verdict{k, http.StatusPaymentRequired}
		default:
			return verdict{kind: k}
		}
	}
	return verdict{}
}

// badRequest is a 400, 413 or 422, which several providers say of an account, too.
func (d *errorDetails) badRequest(status int) verdict {
	switch {
	case d.flagged, d.contains(contentSentences()...):
		return verdict{kind: KindContentPolicy}
	case status == http.StatusRequestEntityTooLarge && d.hasWord("rate_limit_exceeded"):
		return verdict{kind: KindUnsupported} // Groq: larger than a minute's quota
	case d.contains(contextSentences()...):
		return verdict{kind: KindContextWindow}
	case status != http.StatusBadRequest:
	case d.hasPrefix("your credit balance is too low", "you have reached your specified api usage limits",
		"you have reached your specified workspace api usage limits", "access denied, please make sure your account is in good standing"):
		return verdict{KindAccount, http.StatusPaymentRequired}
	case d.hasPrefix("this organization has been disabled"):
		return verdict{KindAccount, http.StatusForbidden}
	case d.hasPrefix("incorrect api key provided", "api key not valid", "api key expired"):
		return verdict{KindAccount, http.StatusUnauthorized}
	case d.hasPrefix("the long context beta is not yet available for this subscription"):
		return verdict{kind: KindUnsupported} // the request asks for it; another account may have it
	case d.hasPrefix("user location is not supported", "gemini api free tier is not available in your country"):
		return verdict{kind: KindPermission}
	case d.hasPrefix("the provided model identifier is invalid"), d.isUnknownModel():
		return verdict{kind: KindModelNotFound}
	}
	return verdict{kind: KindRequest}
}

// isUnknownModel reports whether the text is OpenRouter's for a model that it does not
// have: the name, and these words after it.
func (d *errorDetails) isUnknownModel() bool {
	name, rest, ok := strings.Cut(d.text, " ")
	return ok && name != "" && strings.HasPrefix(rest, "is not a valid model id")
}

// forbidden is a 403, which may be a word about this request alone: its content, or
// something that it names.
func (d *errorDetails) forbidden() verdict {
	switch {
	case d.flagged, d.contains("input was flagged", "content violates usage guidelines"):
		return verdict{KindContentPolicy, http.StatusBadRequest}
	case d.contains("you do not have permission to access the file", "cachedcontent not found", "you are not allowed to generate embeddings",
		"you are not allowed to sample from this model"):
		return verdict{kind: KindUnsupported}
	}
	return verdict{kind: KindPermission}
}

// notFound is a 404, which may be about the endpoint or about something else that
// the request names, and then says nothing of the model.
func (d *errorDetails) notFound() verdict {
	if d.contains("is not a chat model", "not in v1/", "only supported in v1/", "embedcontent", "invalid url (", "404 page not found",
		"file not found", "unknown request url", "no endpoints found that support", "unexpected endpoint", "cachedcontent not found",
		"previous response", "no such file object") || d.text == "not found" || d.isMissingObject() {
		return verdict{kind: KindUnsupported}
	}
	return verdict{kind: KindModelNotFound}
}

// isMissingObject reports whether the text says of an object that the request names by
// its id (a conversation, a prompt, a container, an item), and of no model, that the
// account does not have it.
func (d *errorDetails) isMissingObject() bool {
	_, rest, ok := strings.Cut(d.text, " with id '")
	return ok && strings.Contains(rest, "not found") && !d.hasPrefix("model", "the model")
}

// tooManyRequests is a 429, which OpenAI says of an empty account, too, and of a
// request that is larger than a minute's quota, and Anthropic of a prompt that is longer
// than the account may send.
func (d *errorDetails) tooManyRequests() verdict {
	switch {
	case slices.ContainsFunc(d.words, isBillingWord), d.contains("used all available credits"),
		d.hasPrefix("your prepayment credits are depleted"):
		return verdict{kind: KindAccount}
	case d.contains("request too large for"):
		return verdict{kind: KindUnsupported}
	case d.contains("extra usage is required for long context", "extra usage is required for 1m context"):
		return verdict{kind: KindContextWindow}
	}
	return verdict{kind: KindRateLimit}
}

// serverError is a 500, with which llama.cpp's server and Ollama answer several
// mistakes of clients. A failure of their own is none of these sentences.
func (d *errorDetails) serverError() verdict {
	switch {
	case d.contains("increase the physical batch size", "compared to kv size", "exceeds the available context size",
		"input length exceeds the context length", "exceeds maximum context length"):
		return verdict{kind: KindContextWindow}
	case d.contains("image input is not supported", "audio input is not supported", "video input is not supported",
		"input is not supported - hint", "missing data required for image input", "model does not support embeddings",
		"requires --jinja flag", "jinja exception:",
		"invalid json schema in format", "failed to parse grammar", "json schema conversion failed",
		"failed to create new sequence: unable to create sampling context", "cannot use custom grammar constraints with tools"):
		return verdict{kind: KindUnsupported}
	case strings.HasPrefix(d.text, `option "`) && d.contains(`" must be of type `),
		d.contains("failed to create new sequence: no input provided", "failed to create new sequence: failed to process inputs",
			"input content cannot be empty", "[json.exception.type_error.302] type must be", "[json.exception.out_of_range.403] key "):
		return verdict{kind: KindRequest}
	}
	return verdict{kind: KindServer}
}

// kindOfWord is the kind that a word names, in lower case, which no provider uses for
// anything else; KindUnknown: none.
func kindOfWord(word string) Kind {
	switch word {
	case CodeContextLength, "exceed_context_size_error", "tokens_limit_reached", "contextwindowexceedederror":
		return KindContextWindow
	case CodeContentFilter, "content_policy_violation", "responsibleaipolicyviolation", "moderation_blocked", "data_inspection_failed",
		"datainspectionfailed", "censorship_blocked", "contentpolicyviolationerror":
		return KindContentPolicy
	case "invalid_api_key", "api_key_invalid", "invalid_authentication_error", "account_deactivated", "consumer_suspended",
		"access_token_expired", "access_token_type_unsupported":
		return KindAccount
	case "unsupported_country_region_territory", "service_disabled", "api_key_service_blocked", "api_key_ip_address_blocked",
		"api_key_http_referrer_blocked":
		return KindPermission
	case "model_not_found", "deploymentnotfound", "invalid_model", "unknown_model", "model_decommissioned":
		return KindModelNotFound
	case "operationnotsupported":
		return KindUnsupported
	}
	switch {
	case isBillingWord(word):
		return KindAccount
	case strings.Contains(word, "sensitivecontentdetected"): // Volcengine's, for prompts and answers
		return KindContentPolicy
	}
	return KindUnknown
}

// isBillingWord reports whether a word says that the account has to be paid for.
func isBillingWord(word string) bool {
	switch word {
	case "insufficient_quota", "insufficient_balance", "insufficient_user_quota", "billing_hard_limit_reached", "billing_not_active",
		"billing_disabled", "billing_error", "exceeded_current_quota_error", "arrearage":
		return true
	}
	return false
}

// contextSentences say that the prompt is longer than the model's context, as OpenAI,
// Anthropic, Google, Mistral, xAI, Alibaba, Moonshot, MiniMax, vLLM, SGLang, TGI,
// Ollama, llama.cpp, LM Studio and LiteLLM do.
func contextSentences() []string {
	return []string{
		"maximum context length", "prompt is too long", "exceed context limit", "exceeds the maximum number of tokens",
		"model's maximum context limit", "longer than the model's context length", "available context size",
		"maximum number of tokens allowed", "input is too long", "exceeds the context window", "exceeds maximum input length",
		"context length exceeded", "exceed_context_size", "too large for model with", "input length and `max_tokens` exceed",
		"model's context length is only", "maximum prompt length is", "range of input length should be", "loaded with context length of only",
		"context window exceeds limit", "longer than the maximum model length", "exceeded model token limit", "contextwindowexceedederror",
		"must be less than max_seq_len", "tokens + `max_new_tokens` must be", "cannot exceed the total tokens limit", "too many input tokens",
		"exceeds the context length",
	}
}

// contentSentences say that the prompt or the answer was refused for its content.
func contentSentences() []string {
	return []string{
		"content management policy", "content_policy_violation", "content policy", "safety system", "responsibleaipolicyviolation",
		"content filtering policy", "input was flagged", "flagged as potentially violating", "content violates usage guidelines",
		"data may contain inappropriate content", "content exists risk", "was considered high risk", "prohibited use policy",
		"contentpolicyviolationerror",
	}
}

// hasPrefix reports whether the text begins with one of these sentences, in lower case.
// What is held against the deployment must: providers quote in a 400 the value that
// they refuse, and a client may write any sentence there.
func (d *errorDetails) hasPrefix(sentences ...string) bool {
	return slices.ContainsFunc(sentences, func(sentence string) bool { return strings.HasPrefix(d.text, sentence) })
}

// contains reports whether one of these sentences, in lower case, is in the text.
func (d *errorDetails) contains(sentences ...string) bool {
	return slices.ContainsFunc(sentences, func(sentence string) bool { return strings.Contains(d.text, sentence) })
}

// hasWord reports whether a word, in lower case, is among the error's.
func (d *errorDetails) hasWord(word string) bool { return slices.Contains(d.words, word) }

// embeddedStatus is the status that an error without one of its own would have had.
func (d *errorDetails) embeddedStatus() int {
	for _, word := range d.words {
		if n, err := strconv.Atoi(word); err == nil && n >= 400 && n < 600 {
			return n
		}
	}
	for _, word := range d.words {
		if status := statusOfWord(word); status != 0 {
			return status
		}
	}
	return http.StatusBadGateway
}

// statusOfWord is the status that Anthropic, OpenAI and servers of its format send
// with an error of this type or code; 0: it is none of theirs.
func statusOfWord(word string) int {
	switch word {
	case "insufficient_quota", "rate_limit_error", "rate_limit_exceeded", "ratelimiterror":
		return http.StatusTooManyRequests
	case "authentication_error":
		return http.StatusUnauthorized
	case "billing_error":
		return http.StatusPaymentRequired
	case "permission_error":
		return http.StatusForbidden
	case "not_found_error":
		return http.StatusNotFound
	case "request_too_large":
		return http.StatusRequestEntityTooLarge
	case externalConnector:
		return http.StatusFailedDependency
	case "timeout_error":
		return http.StatusGatewayTimeout
	case "overloaded_error":
		return statusOverloaded
	case "api_error":
		return http.StatusInternalServerError
	case "badrequesterror":
		return http.StatusBadRequest
	}
	if k := kindOfWord(word); k != KindUnknown {
		return k.status()
	}
	// OpenAI's codes of what is wrong with a request or its images in the Responses API.
	if strings.HasPrefix(word, "invalid_") || strings.HasSuffix(word, "_image") || strings.HasPrefix(word, "image_") {
		return http.StatusBadRequest
	}
	return 0
}
