package callback

import (
	"github.com/go-json-experiment/json/jsontext"
)

// Status is how a request ended.
type Status string

// The two ways a request ends. A stream that the client left is a success with
// [Record.Aborted] set; one that the provider cut is a failure.
const (
	Success Status = "success"
	Failure Status = "failure"
)

// What may end an answer early, as [Record.Aborted] says it.
const (
	AbortedByClient   = "client"
	AbortedByUpstream = "upstream"
	AbortedByTimeout  = "timeout"
)

// Record is one request that has ended: LiteLLM's StandardLoggingPayload as far
// as its fields exist here, and what happened on each attempt. Whoever makes it
// fills it completely and hands it over; from then on it must not be changed,
// since several sinks read it at once.
type Record struct {
	ID        string `json:"id"`              // the provider's id of the answer; the call id when there is none
	CallID    string `json:"litellm_call_id"` // unique; the same as in the response header
	TraceID   string `json:"trace_id"`        // the client's, else the call id
	SessionID string `json:"session_id"`      // "" when the client gave none
	CallType  string `json:"call_type"`       // see [CallType]
	Stream    bool   `json:"stream"`

	Status     Status   `json:"status"`
	HTTPStatus int      `json:"http_status"` // what the client got; 0: nothing
	Aborted    Optional `json:"aborted"`     // who ended the answer before its end

	CacheHit bool     `json:"cache_hit"`
	CacheKey Optional `json:"cache_key"`

	Provider   Optional `json:"custom_llm_provider"`
	Model      string   `json:"model"`       // provider/model of the deployment that served, else the name asked for
	ModelGroup string   `json:"model_group"` // whose deployment served, else the name asked for
	ModelID    string   `json:"model_id"`    // the deployment
	APIBase    string   `json:"api_base"`    // scheme and host alone, see [Origin]

	StartTime           Epoch   `json:"startTime"`
	EndTime             Epoch   `json:"endTime"`
	CompletionStartTime Epoch   `json:"completionStartTime"` // the first token; the end when it is not known
	ResponseTime        Seconds `json:"response_time"`       // to the end; of streams, to the first token

	ResponseCost     float64        `json:"response_cost"` // USD; 0 when no price is known
	CostBreakdown    *CostBreakdown `json:"cost_breakdown"`
	SavedCacheCost   float64        `json:"saved_cache_cost"`
	PromptTokens     int64          `json:"prompt_tokens"`
	CompletionTokens int64          `json:"completion_tokens"`
	TotalTokens      int64          `json:"total_tokens"`
	TokensEstimated  bool           `json:"tokens_estimated"` // the provider did not report all of them: the rest was counted here

	RequestTags        []string `json:"request_tags"`
	EndUser            Optional `json:"end_user"` // the body's user
	RequesterIPAddress Optional `json:"requester_ip_address"`
	UserAgent          Optional `json:"user_agent"`

	// The content. Each is one JSON value, or nil when it is not known or nobody
	// wants it. [Policy.Apply] redacts and cuts them.
	Messages        jsontext.Value `json:"messages"` // messages, input or prompt of the request
	Response        jsontext.Value `json:"response"` // the whole answer; {} on failure
	ModelParameters jsontext.Value `json:"model_parameters"`

	ErrorStr         Optional          `json:"error_str"`
	ErrorInformation *ErrorInformation `json:"error_information"`

	HiddenParams HiddenParams `json:"hidden_params"`
	Metadata     Metadata     `json:"metadata"`
	Attempts     []Attempt    `json:"attempts"`

	size int // bytes, about; set by Policy.Apply
}

// CostBreakdown splits the cost, in USD.
type CostBreakdown struct {
	Input  float64 `json:"input_cost"`
	Output float64 `json:"output_cost"`
	Total  float64 `json:"total_cost"`
}

// ErrorInformation says what went wrong, in LiteLLM's words.
type ErrorInformation struct {
	Code     string `json:"error_code"`  // the HTTP status as text: "429"
	Class    string `json:"error_class"` // "RateLimitError"
	Provider string `json:"llm_provider"`
	Message  string `json:"error_message"`
	Type     string `json:"error_type"`   // OpenAI's type
	Reason   string `json:"error_reason"` // OpenAI's code, such as context_length_exceeded
}

// HiddenParams are details of the serving deployment.
type HiddenParams struct {
	ModelID       string   `json:"model_id"`
	CacheKey      Optional `json:"cache_key"`
	APIBase       string   `json:"api_base"`
	ResponseCost  float64  `json:"response_cost"`
	OverheadMs    float64  `json:"litellm_overhead_time_ms"` // of the gateway alone
	ModelName     string   `json:"litellm_model_name"`       // the deployment's model without the provider
	ResponseModel string   `json:"response_model"`           // as the answer says it
	FinishReason  string   `json:"finish_reason"`
	Usage         *Usage   `json:"usage_object"`
}

// Metadata is what is known of the caller.
type Metadata struct {
	// always null: one key for all identifies no caller, and its hash could be guessed at
	KeyHash         Optional       `json:"user_api_key_hash"`
	KeyAlias        Optional       `json:"user_api_key_alias"`         // the caller, as the tenant header names it
	RequestRoute    string         `json:"user_api_key_request_route"` // "/v1/chat/completions"
	Requester       jsontext.Value `json:"requester_metadata"`         // the body's metadata object
	RequesterIP     Optional       `json:"requester_ip_address"`
	UserAgent       Optional       `json:"user_agent"`
	Usage           *Usage         `json:"usage_object"`
	AttemptedModels []string       `json:"attempted_model_groups"` // of a cascade, in order
}

// Usage is OpenAI's usage object.
type Usage struct {
	Prompt     int64             `json:"prompt_tokens"`
	Completion int64             `json:"completion_tokens"`
	Total      int64             `json:"total_tokens"`
	Prompts    PromptDetails     `json:"prompt_tokens_details"`
	Outputs    CompletionDetails `json:"completion_tokens_details"`
}

// PromptDetails are parts of the prompt tokens.
type PromptDetails struct {
	Cached     int64 `json:"cached_tokens"`
	CacheWrite int64 `json:"cache_creation_tokens"`
}

// CompletionDetails are parts of the completion tokens.
type CompletionDetails struct {
	Reasoning int64 `json:"reasoning_tokens"`
}

// Attempt is one try on one deployment.
type Attempt struct {
	ModelGroup string `json:"model_group"`
	Deployment string `json:"deployment"`
	Provider   string `json:"provider"`
	Status     int    `json:"status"` // of the provider's answer; 0: none came
	Took       Millis `json:"ms"`
	Reason     string `json:"reason"` // why it failed; "" when it did not
}

// Size is about how many bytes the record holds.
func (r *Record) Size() int {
	if r.size == 0 {
		return r.measure()
	}
	return r.size
}

// recordBytes is what a record weighs without its content: the struct and the
// short texts.
const recordBytes = 2 << 10

func (r *Record) measure() int {
	n := recordBytes + len(r.Messages) + len(r.Response) + len(r.ModelParameters) + len(r.ErrorStr) + len(r.Metadata.Requester)
	if r.ErrorInformation != nil {
		n += len(r.ErrorInformation.Message)
	}
	return n + 128*len(r.Attempts)
}
