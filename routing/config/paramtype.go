package config

import (
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// paramType is what providers want a parameter to be. A variable holds text alone,
// so that only the name of the parameter tells.
type paramType int

const (
	untyped      paramType = iota // not known: a JSON number, true and false are these, all else is text
	textual                       // text, also when it reads like a number
	whole                         // a whole number
	numeric                       // any number
	boolean                       // true or false
	booleanOr                     // true, false, or text that says more (Ollama's think)
	numericOr                     // a number, or text that says more (Ollama's keep_alive)
	boolOrNumber                  // true, false or a number (logprobs of the two completions)
)

// paramNames are the parameters of each type: those of OpenAI, Anthropic, Gemini
// and Ollama, and of servers that speak OpenAI's format, at any depth.
func paramNames() map[paramType]string {
	return map[paramType]string{
		whole: `max_tokens max_completion_tokens max_output_tokens n seed top_k top_logprobs best_of dimensions budget_tokens
			prompt_cache_min_tokens max_tool_calls partial_images output_compression max_uses max_num_results
			min_tokens truncate_prompt_tokens max_thinking_tokens thinking_token_budget random_seed
			maxOutputTokens topK candidateCount candidate_count thinkingBudget thinking_budget outputDimensionality output_dimensionality
			num_ctx num_predict num_batch num_gpu main_gpu num_thread num_keep repeat_last_n mirostat draft_num_predict`,
		numeric: `temperature top_p frequency_penalty presence_penalty min_p top_a typical_p repetition_penalty length_penalty
			score_threshold topP presencePenalty frequencyPenalty repeat_penalty mirostat_tau mirostat_eta tfs_z`,
		boolean: `stream store parallel_tool_calls include_usage include_obfuscation disable_parallel_tool_use strict echo
			ignore_eos skip_special_tokens spaces_between_special_tokens add_generation_prompt continue_final_message
			include_stop_str_in_output use_beam_search early_stopping return_documents enable_thinking clear_thinking
			responseLogprobs response_logprobs includeThoughts include_thoughts audioTimestamp audio_timestamp safe_prompt
			penalize_newline low_vram f16_kv vocab_only use_mmap use_mlock numa raw shift return_citations return_images`,
		booleanOr:    `think truncate background`,
		numericOr:    `keep_alive`,
		boolOrNumber: `logprobs`,
		textual: `model user user_id safety_identifier prompt_cache_key prompt_cache_retention service_tier reasoning_effort effort
			verbosity previous_response_id conversation stop stop_sequences stopSequences suffix prompt input instructions system
			content text role name type id title description url detail data arguments language voice format encoding_format
			modalities include tool_choice function_call cachedContent cached_content responseMimeType response_mime_type`,
	}
}

// paramTypes is paramNames by name.
func paramTypes() map[string]paramType {
	types := map[string]paramType{}
	for t, names := range paramNames() {
		for name := range strings.FieldsSeq(names) {
			types[name] = t
		}
	}
	return types
}

// paramType is the type of the parameter that the value is, or is a part of: what is
// in metadata or labels is the user's own text.
func (v value) paramType() paramType {
	if v.node.Style&yaml.TaggedStyle != 0 && v.node.Tag == "!!str" {
		return textual // the file says so
	}
	for _, own := range []string{".metadata.", ".labels."} {
		if strings.Contains(v.key, own) {
			return textual
		}
	}
	return v.r.paramTypes[v.name]
}

// want is a type in words.
func (t paramType) want() string {
	switch t {
	case whole:
		return "a whole number"
	case numeric:
		return "a number"
	case boolean:
		return "true or false"
	case boolOrNumber:
		return "true, false or a number"
	}
	return "text"
}

// appendVariable writes what a variable holds as the parameter wants it.
func (v value) appendVariable(dst []byte, text string) ([]byte, bool) {
	t := v.paramType()
	if literal, ok := t.literal(text); ok {
		return append(dst, literal...), true
	}
	switch t {
	case whole, numeric, boolean, boolOrNumber:
		v.fail("want %s, got %s", t.want(), v.shown())
		return dst, false
	}
	return jsonedit.AppendString(dst, text), true
}

// appendText writes a text of the file: it may be a number in quotes.
func (v value) appendText(dst []byte, text string) []byte {
	if t := v.paramType(); t != untyped {
		if literal, ok := t.literal(text); ok {
			return append(dst, literal...)
		}
	}
	return jsonedit.AppendString(dst, text)
}

// literal is the text as a number or boolean of JSON; false: it is none of the type.
func (t paramType) literal(text string) (literal string, ok bool) {
	text = strings.TrimSpace(text)
	if t == boolean || t == booleanOr || t == boolOrNumber {
		if b, ok := boolText(text); ok {
			return strconv.FormatBool(b), true
		}
	}
	switch t {
	case whole, numeric, numericOr, boolOrNumber:
		return numberText(text, t == whole)
	case untyped:
		switch text {
		case "true", "True":
			return "true", true
		case "false", "False":
			return "false", true
		}
		number := jsontext.Value(text)
		return text, number.IsValid() && number.Kind() == '0'
	}
	return "", false
}

// boolText reads true and false in the spellings of YAML.
func boolText(text string) (b, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, true
	case "false", "no", "off", "0":
		return false, true
	}
	return false, false
}

// numberText writes a number as JSON does, as it stands where it can.
func numberText(text string, whole bool) (string, bool) {
	f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	switch {
	case err != nil || math.IsNaN(f) || math.IsInf(f, 0):
		return "", false
	case whole && (f != math.Trunc(f) || math.Abs(f) > maxWhole):
		return "", false
	case whole:
		return strconv.FormatInt(int64(f), 10), true
	case jsontext.Value(text).IsValid():
		return text, true
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}
