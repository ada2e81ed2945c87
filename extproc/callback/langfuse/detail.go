package langfuse

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// detail is one member of the generation's metadata.
type detail struct{ name, text string }

// details lists the generation's metadata: what the client gave and what is
// known of how it was served. A client's member never replaces one of ours.
func (e *entry) details() []detail {
	r := e.record
	out := []detail{
		{"litellm_call_id", r.CallID},
		{"litellm_response_id", r.ID},
		{"call_type", r.CallType},
		{"model_group", r.ModelGroup},
		{"model_id", r.ModelID},
		{"custom_llm_provider", string(r.Provider)},
		{"api_base", r.APIBase},
		{"cache_hit", strconv.FormatBool(r.CacheHit)},
		{"cache_key", string(r.CacheKey)},
		{"stream", strconv.FormatBool(r.Stream)},
		{"http_status", strconv.Itoa(r.HTTPStatus)},
		{"aborted", string(r.Aborted)},
		{"litellm_response_cost", strconv.FormatFloat(r.ResponseCost, 'g', -1, 64)},
		{"user_api_key_alias", string(r.Metadata.KeyAlias)},
		{"requester_ip_address", string(r.RequesterIPAddress)},
		{"user_agent", string(r.UserAgent)},
		{"hidden_params", encode(r.HiddenParams)},
	}
	if len(r.Attempts) > 0 {
		out = append(out, detail{"attempts", encode(r.Attempts)})
	}
	return e.clientDetails(slices.DeleteFunc(out, func(d detail) bool { return d.text == "" }))
}

// clientDetails adds the client's metadata but for what hasOwnField Langfuse.
func (e *entry) clientDetails(out []detail) []detail {
	ours := len(out)
	var members map[string]jsontext.Value
	if json.Unmarshal(e.record.Metadata.Requester, &members) != nil {
		return out
	}
	for name, value := range members {
		if hasOwnField(name) || slices.ContainsFunc(out[:ours], func(d detail) bool { return d.name == name }) {
			continue
		}
		var s string
		if json.Unmarshal(value, &s) != nil {
			s = string(value)
		}
		out = append(out, detail{name, s})
	}
	slices.SortFunc(out[ours:], func(a, b detail) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return out
}

// hasOwnField reports whether a member of the metadata has a place of its own.
func hasOwnField(name string) bool {
	switch name {
	case "trace_id", "existing_trace_id", "trace_name", "trace_user_id", "trace_version", "trace_release", "trace_metadata", "session_id",
		"generation_id", "generation_name", "parent_observation_id", "version", "mask_input", "mask_output", "tags":
		return true
	}
	return false
}
