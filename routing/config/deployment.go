package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// entry is one model_list item while it is read.
type entry struct {
	Deployment
	at      value
	model   value  // litellm_params.model
	full    string // its text, with the prefix
	prefix  string // custom_llm_provider
	azureID string // deployment_id
	missing []string
	others  []value // what may be a parameter of the provider
	entra   value   // says how to log in at Microsoft Entra

	credentialName string // litellm_credential_name; "": none
}

// deployments reads model_list.
func (r *reader) deployments(c *Config, items []value) {
	ids := map[string]bool{}
	for _, item := range items {
		e := r.entry(item)
		if e == nil {
			continue
		}
		if len(e.missing) > 0 {
			r.leaveOut(c, e)
			continue
		}
		e.ID = uniqueID(e, ids)
		c.Deployments = append(c.Deployments, e.Deployment)
	}
	if len(c.Deployments) > 0 {
		return
	}
	if len(c.LeftOut) == 0 {
		if !slices.ContainsFunc(r.diagnostics, func(d Diagnostic) bool { return d.Severity == Error }) {
			r.diagnostics = append(r.diagnostics, Diagnostic{Severity: Error, Key: "model_list",
				Message: "the list is empty: name at least one model"})
		}
		return
	}
	var names []string
	for _, l := range c.LeftOut {
		names = append(names, l.ModelName+" ($"+l.Variable+")")
	}
	r.diagnostics = append(r.diagnostics, Diagnostic{Severity: Error, Key: "model_list",
		Message: "no deployment is left: each needs a variable that is not set: " + strings.Join(names, ", ")})
}

func (r *reader) leaveOut(c *Config, e *entry) {
	severity, what := Warning, "this deployment is left out"
	if r.strict {
		severity, what = Error, "set it, or remove the entry"
	}
	e.at.say(severity, "%s: $%s is not set: %s", e.ModelName, e.missing[0], what)
	c.LeftOut = append(c.LeftOut, LeftOut{ModelName: e.ModelName, Variable: e.missing[0], File: e.at.file, Line: e.at.node.Line})
}

// entry reads one item; nil when it cannot be used.
func (r *reader) entry(item value) *entry {
	if !item.present() {
		item.fail("the entry is empty: want model_name and litellm_params")
		return nil
	}
	e := &entry{at: item}
	e.Line = item.node.Line
	var params, info value
	// model_info is the weakest place for rpm and tpm, the entry itself the
	// strongest: read in this order, the last holds.
	fields := item.fields()
	for _, f := range fields {
		switch f.name {
		case "model_name":
			f.str(&e.ModelName)
		case "litellm_params":
			params = f
		case "model_info":
			info = f
		case "rpm", "tpm", "itpm", "otpm":
		default:
			if f.lostLimit(f.misspeltOf(limits())) {
				continue
			}
			f.unknown([]string{"model_name", "litellm_params", "model_info", "rpm", "tpm"})
		}
	}
	for _, f := range info.fields() {
		e.info(f)
	}
	own := r.withDefaults(params.fields())
	for _, f := range own {
		e.param(f)
	}
	e.credential(own)
	for _, f := range fields {
		e.limit(f)
	}
	if !e.complete(params) {
		return nil
	}
	return e
}

// withDefaults adds those of default_litellm_params that an entry does not set itself.
func (r *reader) withDefaults(own []value) []value {
	explicit := len(own)
	for _, f := range r.defaultParams.fields() {
		if !slices.ContainsFunc(own[:explicit], func(o value) bool { return o.name == f.name }) {
			own = append(own, f)
		}
	}
	return own
}

// complete checks the entry and works out provider, address and key.
func (e *entry) complete(params value) bool {
	switch {
	case e.ModelName == "":
		e.at.fail("model_name is missing: the name that clients will ask for")
		return false
	case hasControl(e.ModelName):
		e.at.fail("model_name %q holds a control character", e.ModelName)
		return false
	case !params.present():
		e.at.fail("litellm_params is missing: it says which model of which provider serves %s", e.ModelName)
		return false
	case e.full == "":
		if name, ok := e.model.envName(); ok {
			e.missing = append(e.missing, name)
			return true
		}
		params.fail("model is missing: say it as provider/model, for example openai/gpt-4o")
		return false
	}
	if !e.provider() || !e.address() {
		return false
	}
	e.parameters()
	return true
}

// provider parts the prefix from the model.
func (e *entry) provider() bool {
	table := providers()
	prefix, rest, ok := strings.Cut(e.full, "/")
	switch known := canonicalProvider(prefix); {
	case e.prefix != "":
		e.Provider, e.Model = canonicalProvider(e.prefix), e.full
		if ok && canonicalProvider(prefix) == e.Provider {
			e.Model = rest
		}
		if _, ok := table[e.Provider]; !ok {
			e.unknownPrefix()
			return false
		}
	case ok && table[known].Name != "":
		e.Provider, e.Model = known, rest
	case !ok && guessProvider(e.full) != "":
		e.Provider, e.Model = guessProvider(e.full), e.full
	case cloud(prefix) != "":
		e.model.fail("isthmus does not speak to %s yet: take the entry out", cloud(prefix))
		return false
	case e.APIBase != "" || len(e.missing) > 0:
		e.Provider, e.Model = "custom_openai", rest
		if !ok {
			e.Model = e.full
		}
		e.model.say(Notice, "%q is no provider isthmus knows: its api_base is taken for an OpenAI-compatible server that serves %q", prefix,
			e.Model)
	default:
		e.unknownProvider(prefix, ok, table)
		return false
	}
	if e.Model == "" {
		e.model.fail("the model's name is missing after %s/", prefix)
		return false
	}
	if e.azureID != "" && e.Provider == "azure" {
		e.Model = e.azureID
	}
	return true
}

func (e *entry) unknownPrefix() {
	if name := cloud(e.prefix); name != "" {
		e.model.fail("isthmus does not speak to %s yet: take the entry out", name)
		return
	}
	e.model.fail("custom_llm_provider %q is not known", e.prefix)
}

func (e *entry) unknownProvider(prefix string, slash bool, table map[string]upstream.Provider) {
	names := make([]string, 0, len(table))
	for n := range table {
		names = append(names, n)
	}
	slices.Sort(names)
	if !slash {
		e.model.fail("%q does not say its provider: write provider/model, for example openai/%s", e.full, e.full)
		return
	}
	if litellm.Provider(prefix) {
		e.model.fail("LiteLLM's provider %s is not here: give its api_base if it is OpenAI-compatible", prefix)
		return
	}
	e.model.fail("provider %q is not known%s; for any OpenAI-compatible server give its api_base", prefix, hint(prefix, names))
}

// address fills api_base and api_key from the provider's table.
func (e *entry) address() bool {
	p, env := providers()[e.Provider], e.at.r.env
	fromFile := e.APIBase != ""
	if !fromFile {
		if base, from := env.first(p.BaseVars...); from != "" {
			e.APIBase, e.CustomBase = base, true
		} else {
			e.APIBase = p.Base
		}
	}
	e.CustomBase = e.CustomBase || fromFile
	if len(e.missing) > 0 {
		return true // left out; whatever else is missing does not matter
	}
	if e.APIBase == "" {
		e.at.fail("%s needs an api_base%s", e.Provider, orVariable(p.BaseVars))
		return false
	}
	if !e.checkBase() {
		return false
	}
	// A key of the environment never goes to an address that the file names:
	// it was not given for that server.
	if e.APIKey.IsZero() && e.AzureADToken.IsZero() && (!fromFile || p.OwnAddress) {
		if !e.environmentKey(p) {
			return false
		}
	}
	if e.Provider == "azure" && e.APIVersion == "" {
		e.APIVersion, _ = env.first("AZURE_API_VERSION", "OPENAI_API_VERSION")
	}
	return true
}

// environmentKey takes the provider's usual key from the environment, unless a
// credential was to bring one: that key is not this one's substitute.
func (e *entry) environmentKey(p upstream.Provider) bool {
	free := p.Keyless || e.MockResponse != nil
	if e.credentialName != "" {
		if !free {
			e.at.fail("the credential %q has no api_key: no key of the environment is used in its place", e.credentialName)
		}
		return free
	}
	text, from := e.at.r.env.first(p.KeyVars...)
	key, clean := headerText(text)
	if !clean {
		e.at.fail("the key in $%s holds a line break or another control character", from)
		return false
	}
	e.APIKey = secret.New(key)
	switch {
	case from != "" || free:
	case e.Provider == "azure" && e.entra.node != nil:
		e.entra.fail("isthmus cannot log in at Microsoft Entra yet: give a token as azure_ad_token, or api_key")
		return false
	case e.at.r.keysElsewhere:
		e.APIKey = secret.New(keyElsewhere)
	default:
		e.missing = append(e.missing, p.KeyVars[0])
	}
	return true
}

func orVariable(vars []string) string {
	if len(vars) == 0 {
		return ""
	}
	return " (or $" + vars[0] + ")"
}

func (e *entry) checkBase() bool {
	u, err := url.Parse(e.APIBase)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		e.at.fail("api_base is not a URL with a host: want https://host/path")
	case u.Scheme != "http" && u.Scheme != "https":
		e.at.fail("api_base begins with %s:// : want http:// or https://", u.Scheme)
	case u.User != nil:
		e.at.fail("api_base holds a user name or password: give it as api_key or in headers")
	case u.RawQuery != "" || u.Fragment != "":
		e.at.fail("api_base holds a query or fragment: want only https://host/path")
	default:
		if port := u.Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				e.at.fail("api_base has port %s: want 1 to 65535", port)
				return false
			}
		}
		e.APIBase = strings.TrimRight(e.APIBase, "/")
		return true
	}
	return false
}

// uniqueID gives the deployment its id: the configured one, or one made from
// the entry's text, which stays the same over restarts.
func uniqueID(e *entry, taken map[string]bool) string {
	id := e.ID
	if id == "" {
		text, _ := yaml.Marshal(e.at.node) // a node that was read can be written
		sum := sha256.Sum256(text)
		id = e.ModelName + "-" + hex.EncodeToString(sum[:4])
	}
	id = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			return c
		}
		return '_'
	}, id)
	unique := id
	for n := 2; taken[unique]; n++ {
		unique = id + "-" + strconv.Itoa(n)
	}
	if unique != id && e.ID != "" {
		e.at.say(Warning, "the id %q is taken by an earlier entry: this one is called %q", id, unique)
	}
	taken[unique] = true
	return unique
}
