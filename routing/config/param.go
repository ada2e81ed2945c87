package config

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// needed reads a text that the deployment cannot do without once it is named.
func (e *entry) needed(f value, into *string) {
	if s, ok := f.scalar("text"); ok {
		*into = s
		return
	}
	if name, ok := f.envName(); ok {
		e.missing = append(e.missing, name)
	}
}

// keyElsewhere stands for a key that only another process has.
const keyElsewhere = "a key that is not set here"

func (e *entry) neededSecret(f value, into *secret.Text) {
	if name, ok := f.envName(); ok && f.r.keysElsewhere {
		if _, set := f.r.env.get(name); !set {
			*into = secret.New(keyElsewhere)
			return
		}
	}
	var s string
	e.needed(f, &s)
	key, ok := headerText(s)
	if !ok {
		f.fail("the key holds a line break or another control character")
	}
	*into = secret.New(key)
}

// headerText takes from a text what files and copying add around it, and reports
// whether the rest can stand in a header.
func headerText(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, !hasControl(s)
}

// hasControl reports whether a text has a character that no header may hold.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// param reads one member of litellm_params.
func (e *entry) param(f value) {
	switch f.name {
	case "model":
		e.model = f
		f.str(&e.full)
	case "custom_llm_provider":
		f.str(&e.prefix)
	case "api_key":
		e.neededSecret(f, &e.APIKey)
	case "azure_ad_token":
		e.neededSecret(f, &e.AzureADToken)
	case "api_base", "base_url":
		e.needed(f, &e.APIBase)
	case "api_version":
		e.needed(f, &e.APIVersion)
	case "deployment_id":
		e.needed(f, &e.azureID)
	case "organization":
		f.str(&e.Organization)
	case "litellm_credential_name": // see credential
	case "headers", "extra_headers":
		e.Headers = append(e.Headers, f.sendableHeaders()...)
	case "mock_response":
		if s, ok := f.scalar("text"); ok {
			e.MockResponse = &s
		}
	default:
		if !e.steering(f) && !e.either(f) && !f.lostParam() && !f.answer(litellm.Params) {
			e.others = append(e.others, f)
		}
		if e.entra.node == nil && entraMember(f.name) && f.on() {
			e.entra = f
		}
	}
}

// sendableHeaders reads headers for a provider and leaves out those that say how
// the message is framed and to whom it goes: they are Envoy's to write.
func (v value) sendableHeaders() []upstream.ExtraHeader {
	return slices.DeleteFunc(v.headers(), func(h upstream.ExtraHeader) bool {
		switch strings.ToLower(h.Name) {
		case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "upgrade":
			v.say(Warning, "%s is the gateway's own to write: ignored", h.Name)
			return true
		}
		return false
	})
}

// steering reads the members that say how the deployment is used.
func (e *entry) steering(f value) bool {
	switch f.name {
	case "timeout", "request_timeout":
		f.optionalSeconds(&e.Timeout, 0.001)
	case "stream_timeout":
		f.optionalSeconds(&e.StreamTimeout, 0.001)
	case "ttft_timeout":
		f.optionalSeconds(&e.TTFTTimeout, 0)
		f.boundsFirstToken(e.TTFTTimeout)
	case "stream_idle_timeout":
		f.optionalSeconds(&e.StreamIdleTimeout, 0)
	case "num_retries", "max_retries":
		f.optionalInt(&e.NumRetries, 0)
	case "weight":
		f.optionalFloat(&e.Weight, 0)
	case "tags":
		f.strings(&e.Tags)
	case "max_parallel_requests":
		f.integer(&e.MaxParallel, 0)
		e.neededLimit(f)
	case "drop_params":
		e.DropParams = new(bool)
		f.boolean(e.DropParams)
	case "stream_passthrough":
		f.boolean(&e.StreamPassthrough)
	case "additional_drop_params":
		f.strings(&e.AdditionalDropParams)
	case "allowed_openai_params":
		f.strings(&e.AllowedOpenAIParams)
	default:
		return false
	}
	return true
}

// either reads the members that may stand in litellm_params or in model_info.
func (e *entry) either(f value) bool {
	switch f.name {
	case "base_model":
		f.str(&e.BaseModel)
	case "order":
		f.integer(&e.Order, 1)
	case "cooldown_time":
		f.optionalSeconds(&e.CooldownTime, 0)
	case "allowed_fails":
		f.optionalInt(&e.AllowedFails, 0)
	case "allowed_fails_policy":
		e.AllowedFailsPolicy = f.allowedFailsPolicy()
	case "input_cost_per_token":
		f.float(&e.InputCost, 0)
		e.Priced = true
	case "output_cost_per_token":
		f.float(&e.OutputCost, 0)
		e.Priced = true
	default:
		return e.limit(f)
	}
	return true
}

// limit reads rpm and its like, which may stand in three places.
func (e *entry) limit(f value) bool {
	known := f.rate(&e.RPM, &e.TPM, &e.ITPM, &e.OTPM)
	if known {
		e.neededLimit(f)
	}
	return known
}

// neededLimit leaves a deployment out whose limit is a variable that is not set: it
// would have none.
func (e *entry) neededLimit(f value) {
	if name, ok := f.unsetVariable(); ok {
		e.missing = append(e.missing, name)
	}
}

// rate reads a member that limits what goes through in a minute, of requests or
// of tokens (all, of the prompt, of the completion). It tells if it is one.
func (v value) rate(rpm, tpm, itpm, otpm *int64) bool {
	switch v.name {
	case "rpm":
		v.integer64(rpm, 0)
	case "tpm":
		v.integer64(tpm, 0)
	case "itpm":
		v.integer64(itpm, 0)
	case "otpm":
		v.integer64(otpm, 0)
	default:
		return false
	}
	return true
}

// entraMember reports whether a member says how to log in at Microsoft Entra.
func entraMember(name string) bool {
	switch name {
	case "tenant_id", "client_id", "client_secret", "azure_username", "azure_password":
		return true
	}
	return false
}

// parameters keeps those of the other members that the deployment's provider takes.
func (e *entry) parameters() {
	target := &upstream.Target{
		Provider: e.Provider, Model: e.Model, BaseURL: e.APIBase, CustomBase: e.CustomBase, BaseModel: e.BaseModel,
		AllowAlso: e.AllowedOpenAIParams,
	}
	takesAll := translate.Takes(target, upstream.Param{Name: "a name that no provider has"})
	for _, f := range e.others {
		if f.misspelt() {
			continue
		}
		if !slices.Contains(e.AllowedOpenAIParams, f.name) && f.credential() {
			continue
		}
		text, ok := f.json()
		if !ok {
			continue
		}
		p := upstream.Param{Name: f.name, Value: text}
		if !translate.Takes(target, p) {
			f.say(Warning, "no parameter of %s, and not sent: to send it all the same, put it into extra_body, "+
				"or its name into allowed_openai_params", e.Provider)
			continue
		}
		e.Defaults = append(e.Defaults, p)
		if takesAll && !f.parameter() && !slices.Contains(e.AllowedOpenAIParams, f.name) {
			f.say(Notice, "neither LiteLLM's nor a parameter that isthmus knows: goes to the provider as it is")
		}
		if f.name == "extra_body" {
			f.extraBody()
		}
	}
}

// extraBody names the members of extra_body that stay here.
func (v value) extraBody() {
	if v.node.Kind != yaml.MappingNode {
		return
	}
	for _, f := range v.fields() {
		if litellm.Own(f.name) {
			f.say(Warning, "LiteLLM's own, and not sent")
		}
	}
}

// info reads one member of model_info; those that neither isthmus nor LiteLLM knows
// are the user's own.
func (e *entry) info(f value) {
	switch f.name {
	case "id":
		f.str(&e.ID)
	case "mode":
		e.mode(f)
	case "max_input_tokens":
		f.integer(&e.MaxInputTokens, 0)
	default:
		if !e.either(f) {
			f.infoOfTheUsers()
		}
	}
}

// infoOfTheUsers answers a member of model_info that isthmus does not read. It may be
// anything, but not what was to hold something back.
func (v value) infoOfTheUsers() {
	switch {
	case v.answer(litellm.ModelInfo), v.lostLimit(v.shuffledLimit()):
	case v.misspeltOf([]string{"master_key"}) != "":
		v.lostAs("master_key")
	default:
		v.lostRestriction(litellm.ModelInfo)
	}
}

// mode reads what the model is for. isthmus has no use for it.
func (e *entry) mode(f value) {
	if f.str(&e.Mode); e.Mode == "responses" {
		f.say(Warning, "ignored: chat completions are asked of the provider's chat/completions, not of its responses")
	}
}

// maxNesting bounds the depth of a parameter.
const maxNesting = 64

// json writes the value as JSON: order and number text are kept, variables are
// resolved. ok is false for an unset variable.
func (v value) json() (jsontext.Value, bool) {
	out, ok := v.appendJSON(nil, 0)
	return out, ok
}

func (v value) appendJSON(dst []byte, depth int) ([]byte, bool) {
	if v.node == nil {
		return append(dst, "null"...), true
	}
	if depth > maxNesting || len(dst) > maxText {
		v.fail("nested too deeply, or too long")
		return dst, false
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i, f := range v.fields() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(jsonedit.AppendString(dst, f.name), ':')
			var ok bool
			if dst, ok = f.appendJSON(dst, depth+1); !ok {
				return dst, false
			}
		}
		return append(dst, '}'), true
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range v.items() {
			if i > 0 {
				dst = append(dst, ',')
			}
			var ok bool
			if dst, ok = item.appendJSON(dst, depth+1); !ok {
				return dst, false
			}
		}
		return append(dst, ']'), true
	}
	return v.appendScalar(dst)
}

func (v value) appendScalar(dst []byte) ([]byte, bool) {
	text := v.node.Value
	if name, ok := v.envName(); ok {
		set, ok := v.r.env.get(name)
		if !ok {
			v.say(Warning, "$%s is not set: the parameter is left out", name)
			return dst, false
		}
		return v.appendVariable(dst, set)
	}
	switch v.node.ShortTag() {
	case "!!null":
		return append(dst, "null"...), true
	case "!!bool":
		var b bool
		if err := v.node.Decode(&b); err == nil && b {
			return append(dst, "true"...), true
		}
		return append(dst, "false"...), true
	case "!!int", "!!float":
		if jsontext.Value(text).IsValid() {
			return append(dst, text...), true
		}
		var f any
		if err := v.node.Decode(&f); err == nil {
			if number, err := json.Marshal(f); err == nil {
				return append(dst, number...), true
			}
		}
		v.fail("%s is no number that JSON can say", strings.TrimSpace(text))
		return dst, false
	}
	return v.appendText(dst, text), true
}
