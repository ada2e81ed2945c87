package config

import (
	"slices"
	"strings"
)

// credential is an entry of credential_list: members of litellm_params that several
// deployments share.
type credential struct {
	at     value // the entry
	values value // credential_values
}

// credentialTable is the credential_list that stands in a section.
func credentialTable() map[string]setter {
	return map[string]setter{"credential_list": func(_ *Config, v value) { v.r.readCredentials(v) }}
}

// readCredentials reads a credential_list. Those of several files add up.
func (r *reader) readCredentials(list value) {
	for _, item := range list.list("a list of credentials") {
		var name string
		c := credential{at: item}
		for _, f := range item.fields() {
			switch f.name {
			case "credential_name":
				f.str(&name)
			case "credential_values":
				c.values = f
			case "credential_info": // for people
			default:
				f.unknown([]string{"credential_name", "credential_values", "credential_info"})
			}
		}
		earlier, twice := r.credentials[name]
		switch {
		case name == "":
			item.fail("credential_name is missing: deployments name the credential by litellm_credential_name")
		case twice:
			item.fail("the name %q is taken by the credential in %s:%d", name, earlier.at.file, earlier.at.node.Line)
		default:
			if r.credentials == nil {
				r.credentials = map[string]credential{}
			}
			r.credentials[name] = c
		}
	}
}

// credentialParam reports whether a credential may hold the member: what it takes to
// speak to a provider. Nothing else of one is read, so that no secret that isthmus
// does not know becomes a parameter of a request.
func credentialParam(name string) bool {
	switch name {
	case "api_key", "azure_ad_token", "api_base", "base_url", "api_version", "organization", "deployment_id", "headers", "extra_headers":
		return true
	}
	return false
}

// credential reads the members that litellm_credential_name stands for. What the
// entry says itself wins.
func (e *entry) credential(own []value) {
	at := slices.IndexFunc(own, func(f value) bool { return f.name == "litellm_credential_name" })
	if at < 0 {
		return
	}
	name, ok := own[at].scalar("the name of a credential")
	if !ok {
		own[at].fail("want the credential_name of one in credential_list")
		return
	}
	r := own[at].r
	c, ok := r.credentials[name]
	if !ok {
		own[at].fail("there is no credential %q%s", name, r.credentialHint(name))
		return
	}
	e.credentialName = name
	for _, f := range c.values.fields() {
		same := func(o value) bool { return o.name == f.name || addressParam(o.name) && addressParam(f.name) }
		switch {
		case slices.ContainsFunc(own, same):
		case credentialParam(f.name):
			e.param(f)
		default:
			f.say(Warning, "isthmus does not use this of a credential: ignored")
		}
	}
}

// addressParam reports whether the member is where the provider is, under either name.
func addressParam(name string) bool { return name == "api_base" || name == "base_url" }

// credentialHint says which credentials there are.
func (r *reader) credentialHint(name string) string {
	if len(r.credentials) == 0 {
		return ": there is no credential_list"
	}
	names := make([]string, 0, len(r.credentials))
	for n := range r.credentials {
		names = append(names, n)
	}
	slices.Sort(names)
	return hint(name, names) + " (there are: " + strings.Join(names, ", ") + ")"
}
