package gemini

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// params are the parameters of one request, sorted by the place they have in
// Gemini's body.
type params struct {
	chat.Sorted
	config     chat.Members // members of generationConfig
	tools      []ownTool
	toolConfig jsontext.Value
	voice      bool // speech is wanted
}

// sort reads all parameters of a completion.
func (tr *Translator) sort(endpoint chat.Endpoint, c *chat.Completion) (*params, error) {
	p := &params{}
	if err := p.Each(endpoint, c, func(param upstream.Param) error { return tr.take(p, param) }); err != nil {
		return nil, err
	}
	if err := tr.takeDecoded(p, c); err != nil {
		return nil, err
	}
	if tr.model.third() {
		// Google's default and its advice for Gemini 3, said aloud as LiteLLM does.
		p.config.Add("temperature", jsontext.Value("1.0"))
	}
	if p.voice {
		p.config.Add("responseModalities", jsontext.Value(`["AUDIO"]`))
	}
	if err := tr.target.Refuse(p.Lacking); err != nil {
		return nil, err
	}
	return p, nil
}

// takeDecoded reads the parameters that package chat has decoded.
func (tr *Translator) takeDecoded(p *params, c *chat.Completion) error {
	if c.MaxTokens != 0 {
		p.config.AddInt("maxOutputTokens", c.MaxTokens)
	}
	if c.N != 0 {
		p.config.AddInt("candidateCount", c.N)
	}
	if len(c.Stop) > 0 {
		p.config.Add("stopSequences", jsonedit.AppendStrings(nil, c.Stop))
	}
	switch {
	case c.ReasoningEffort == "":
	case !tr.model.thinks():
		p.Lacking = append(p.Lacking, "reasoning_effort")
	default:
		thinking, err := tr.model.thinkingOf(c.ReasoningEffort)
		if err != nil {
			return err
		}
		p.config.Add("thinkingConfig", thinking)
	}
	return tr.takeFormat(p, &c.ResponseFormat)
}

// takeFormat reads response_format.
// https://ai.google.dev/gemini-api/docs/structured-output
func (tr *Translator) takeFormat(p *params, f *chat.ResponseFormat) error {
	if f.Type != "json_object" && f.Type != "json_schema" {
		return nil
	}
	p.config.Add("responseMimeType", jsontext.Value(`"application/json"`))
	switch {
	case f.Type == "json_object":
	case tr.model.jsonSchema():
		p.config.Add("responseJsonSchema", f.Schema)
	default:
		schema, err := cleanSchema(f.Schema, true)
		if err != nil {
			return upstream.BadRequest("response_format", "response_format.json_schema: "+err.Error())
		}
		p.config.Add("responseSchema", schema)
	}
	return nil
}

// take reads one parameter: OpenAI's, then Google's own, in its JSON spelling or
// its Python one.
func (tr *Translator) take(p *params, param upstream.Param) error {
	name, value := param.Name, param.Value
	switch {
	case value.Kind() == 'n', slices.Contains(chat.Bookkeeping, name), name == "parallel_tool_calls":
		return nil
	case configName(name) != "":
		p.config.Add(configName(name), value)
		return nil
	case topName(name) != "":
		p.Top.Add(topName(name), value)
		return nil
	}
	switch name {
	case "presence_penalty", "frequency_penalty", "presencePenalty", "frequencyPenalty":
		if !tr.model.third() { // Gemini 3 refuses them
			p.config.Add(camel(name), value)
		}
	case "thinking":
		if !tr.model.thinks() {
			p.Lacking = append(p.Lacking, name)
			return nil
		}
		thinking, err := tr.model.thinkingParam(value)
		p.config.Add("thinkingConfig", thinking)
		return err
	case "modalities":
		return takeModalities(p, value)
	case "audio":
		return takeVoice(p, value)
	case "service_tier":
		p.Top.Add("serviceTier", serviceTier(value))
	case "web_search_options":
		p.tools = append(p.tools, webSearch())
	case "toolConfig", "tool_config":
		p.toolConfig = value
	case "generationConfig", "generation_config", "google":
		return tr.takeNested(p, param)
	default:
		p.Unknown(tr.target, param)
	}
	return nil
}

// takeNested reads the members of an object as if each had been a parameter:
// generationConfig, and google, which the clients of Google's own OpenAI
// endpoint put into extra_body. Members of generationConfig that are not known
// here are Google's to judge.
func (tr *Translator) takeNested(p *params, param upstream.Param) error {
	if param.Value.Kind() != '{' {
		return upstream.BadRequest(param.Name, "'"+param.Name+"' must be an object")
	}
	object, err := jsonedit.Parse(param.Value)
	if err != nil {
		return upstream.BadRequest(param.Name, "'"+param.Name+"': "+err.Error())
	}
	for _, m := range object.Members() {
		value := object.Value(m)
		switch {
		case chat.IsSteering(m.Name):
		case param.Name != "google":
			p.config.Add(camel(m.Name), value)
		case m.Name == "google":
			return upstream.BadRequest("google", "'google' must not be nested")
		default:
			if err := tr.take(p, upstream.Param{Name: m.Name, Value: value}); err != nil {
				return err
			}
		}
	}
	return nil
}

// configName returns the name that a parameter, taken as it is, has in
// generationConfig, or "".
// https://ai.google.dev/api/generate-content#generationconfig
func configName(name string) string {
	switch name {
	case "temperature", "top_p", "top_k", "seed", "topP", "topK",
		"responseMimeType", "response_mime_type", "responseSchema", "response_schema",
		"responseJsonSchema", "response_json_schema", "responseModalities", "response_modalities",
		"thinkingConfig", "thinking_config", "speechConfig", "speech_config", "imageConfig", "image_config",
		"mediaResolution", "media_resolution", "candidateCount", "candidate_count", "stopSequences", "stop_sequences",
		"maxOutputTokens", "max_output_tokens", "responseLogprobs", "response_logprobs":
		return camel(name)
	case "logprobs":
		return "responseLogprobs"
	case "top_logprobs":
		return "logprobs"
	}
	return ""
}

// topName returns the name that a parameter, taken as it is, has in the body
// itself, or "".
func topName(name string) string {
	switch name {
	case "safety_settings", "safetySettings", "cached_content", "cachedContent":
		return camel(name)
	}
	return ""
}

// camel spells a name as Google's JSON does.
func camel(name string) string {
	parts := strings.Split(name, "_")
	for i := 1; i < len(parts); i++ {
		if parts[i] != "" {
			parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
		}
	}
	return strings.Join(parts, "")
}

// serviceTier says OpenAI's tiers in Google's words.
func serviceTier(value jsontext.Value) jsontext.Value {
	switch text(value) {
	case "auto":
		return jsontext.Value(`"priority"`)
	case "default":
		return jsontext.Value(`"standard"`)
	}
	return value
}

func takeModalities(p *params, value jsontext.Value) error {
	var list []string
	if err := json.Unmarshal(value, &list); err != nil {
		return upstream.BadRequest("modalities", "'modalities' must be a list of text, image and audio")
	}
	out := []byte{'['}
	for _, m := range list {
		out = jsonedit.AppendString(jsonedit.AppendComma(out), strings.ToUpper(m))
	}
	p.config.Add("responseModalities", append(out, ']'))
	return nil
}

// takeVoice reads OpenAI's audio parameter. Google's voices have names of their
// own, and its audio is always PCM.
// https://ai.google.dev/gemini-api/docs/speech-generation
func takeVoice(p *params, value jsontext.Value) error {
	var w struct {
		Voice string `json:"voice"`
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return upstream.BadRequest("audio", "'audio' must be an object with a 'voice'")
	}
	out := jsontext.Value(`{}`)
	if w.Voice != "" {
		out = append(jsonedit.AppendString([]byte(`{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":`), w.Voice), "}}}"...)
	}
	p.config.Add("speechConfig", out)
	p.voice = true
	return nil
}
