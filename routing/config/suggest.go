package config

import (
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// nearest returns the candidate most like name, or "" when none is like it.
func nearest(name string, candidates []string) string {
	best, distance := "", max(len(name)/3, 1)+1
	for _, c := range candidates {
		if d := editDistance(name, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// editDistance is Damerau's and Levenshtein's, in bytes: two neighbours that have
// changed places are one edit.
func editDistance(a, b string) int {
	row := func() []int { return make([]int, len(b)+1) }
	before, last, now := row(), row(), row()
	for j := range now {
		now[j] = j
	}
	for i := range len(a) {
		before, last, now = last, now, before
		now[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
	}
	return now[len(b)]
}

// unknown says that the key is not read here. A key that holds something back is
// an error, see lost; one that is read elsewhere is told where; of any other the
// nearest of those that are known here is named.
func (v value) unknown(known []string) {
	if v.lost() || v.lostRestriction(litellm.Settings, litellm.Top, litellm.Params, litellm.ModelInfo) {
		return
	}
	if place := v.r.place(v.name); place != "" {
		v.say(Warning, "unknown key: ignored; it belongs in %s", place)
		return
	}
	if like := nearest(v.name, known); like != "" {
		v.say(Warning, "unknown key: ignored; did you mean %q?", like)
		return
	}
	v.say(Warning, "unknown key: ignored")
}

// place is where a name is read, by us or by LiteLLM; "" for a name of neither.
func (r *reader) place(name string) string {
	if _, ours := settingTable()[name]; ours {
		return "general_settings"
	}
	switch s, _ := litellm.Where(name); s {
	case litellm.Settings:
		return "general_settings"
	case litellm.Top:
		return "the top of the file"
	default:
		return string(s)
	}
}

// hint is what may have been meant by a name that is none of those there are.
func hint(name string, names []string) string {
	if like := nearest(name, names); like != "" {
		return "; did you mean " + like + "?"
	}
	return ""
}

// misspelt reports whether a member is a typo of one that is read, or one that is read
// in a section, which no provider is to get.
func (v value) misspelt() bool {
	keys := []string{
		"api_key", "api_base", "api_version", "deployment_id", "headers", "extra_headers", "timeout", "num_retries", "weight", "drop_params",
		"request_timeout", "stream_timeout", "ttft_timeout", "stream_idle_timeout", "cooldown_time", "allowed_fails", "allowed_fails_policy",
		"azure_ad_token", "client_id", "client_secret", "tenant_id", "azure_password", "azure_username",
	}
	if _, known := litellm.Lookup(litellm.Params, v.name); known {
		return false // a parameter
	}
	if _, ours := settingTable()[v.name]; ours {
		v.say(Warning, "unknown key: ignored; it belongs in general_settings")
		return true
	}
	plain := litellm.Spelling(v.name)
	if plain != v.name && litellm.Own(plain) {
		v.say(Warning, "unknown key: ignored; did you mean %q?", plain)
		return true
	}
	if like := nearest(plain, keys); like != "" && editDistance(plain, like) <= 1+len(like)/8 && v.r.place(v.name) == "" {
		v.say(Warning, "unknown key: ignored; did you mean %q?", like)
		return true
	}
	return false
}

// parameter reports whether the member is known as a parameter, of OpenAI or of
// another.
func (v value) parameter() bool {
	_, known := litellm.Lookup(litellm.Params, v.name)
	return known || v.r.paramTypes[v.name] != untyped
}

// credential reports whether a member that LiteLLM does not know is a credential by
// its name, and says that it is not sent: in the body it would lie in the provider's
// log, to no use.
func (v value) credential() bool {
	if _, known := litellm.Lookup(litellm.Params, v.name); known {
		return false
	}
	name := litellm.Spelling(v.name)
	switch {
	case name == "authorization", name == "token", strings.HasSuffix(name, "api_key"), strings.HasSuffix(name, "access_key"),
		strings.HasSuffix(name, "apikey"), strings.HasSuffix(name, "access_token"), strings.HasSuffix(name, "auth_token"),
		strings.HasSuffix(name, "api_token"), strings.Contains(name, "password"), strings.Contains(name, "secret"):
		v.say(Warning, "not sent, for it reads like a credential: a key is api_key, or one of extra_headers; "+
			"to send it in the body all the same, put it into extra_body, or its name into allowed_openai_params")
		return true
	}
	return false
}
