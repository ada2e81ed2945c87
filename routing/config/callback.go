package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// callbackTable is the settings of the sinks.
func callbackTable() map[string]setter {
	return map[string]setter{
		"success_callback": func(c *Config, v value) { c.Callbacks.Success = append(c.Callbacks.Success, v.callbacks()...) },
		"failure_callback": func(c *Config, v value) { c.Callbacks.Failure = append(c.Callbacks.Failure, v.callbacks()...) },
		"callbacks": func(c *Config, v value) {
			names := v.callbacks()
			c.Callbacks.Success = append(c.Callbacks.Success, names...)
			c.Callbacks.Failure = append(c.Callbacks.Failure, names...)
		},
		"langfuse_public_key":      func(c *Config, v value) { v.str(&c.Callbacks.Langfuse.PublicKey) },
		"langfuse_secret_key":      func(c *Config, v value) { v.secret(&c.Callbacks.Langfuse.SecretKey) },
		"langfuse_secret":          func(c *Config, v value) { v.secret(&c.Callbacks.Langfuse.SecretKey) },
		"langfuse_host":            func(c *Config, v value) { v.address(&c.Callbacks.Langfuse.Host) },
		"mlflow_tracking_uri":      func(c *Config, v value) { v.address(&c.Callbacks.MLflow.TrackingURI) },
		"mlflow_experiment_name":   func(c *Config, v value) { v.str(&c.Callbacks.MLflow.ExperimentName) },
		"mlflow_tracking_username": func(c *Config, v value) { v.str(&c.Callbacks.MLflow.Username) },
		"mlflow_tracking_password": func(c *Config, v value) { v.secret(&c.Callbacks.MLflow.Password) },
		"mlflow_tracking_token":    func(c *Config, v value) { v.secret(&c.Callbacks.MLflow.Token) },
		"webhook_url":              func(c *Config, v value) { v.address(&c.Callbacks.Webhook.URL) },
		"webhook_headers":          func(c *Config, v value) { c.Callbacks.Webhook.Headers = v.headers() },
		"generic_logger_headers":   func(c *Config, v value) { c.Callbacks.Webhook.Headers = v.headers() },
		"webhook_secret":           func(c *Config, v value) { v.secret(&c.Callbacks.Webhook.Secret) },
		"webhook_format":           func(c *Config, v value) { v.oneOf(&c.Callbacks.Webhook.Format, "json_array", "ndjson", "single") },
		"webhook_event_types":      func(c *Config, v value) { v.strings(&c.Callbacks.Webhook.EventTypes) },
		"callback_spill_dir":       func(c *Config, v value) { v.str(&c.Callbacks.SpillDir) },
		"turn_off_message_logging": func(c *Config, v value) { v.boolean(&c.Callbacks.RedactMessages) },
	}
}

// callbackNames are the sinks there are, as a message lists them.
const callbackNames = "langfuse, mlflow, webhook, prometheus, otel, or exec:COMMAND for your own"

// callbacks reads a list of sinks into their canonical names.
func (v value) callbacks() []string {
	var out []string
	for _, item := range v.items() {
		s, ok := item.scalar("the name of a callback")
		if !ok {
			continue
		}
		if name := item.callback(s); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// callback is the canonical name of one sink, or "" for one that isthmus lacks: a
// logger restricts nothing, a guardrail does, and a Python class may, but not one that
// is called when a request has ended.
func (v value) callback(s string) string {
	if command, ok := strings.CutPrefix(s, "exec:"); ok {
		if err := v.r.checkCommand(command); err != nil {
			v.fail("the command behind exec: cannot be run: %v", err)
			return ""
		}
		return s
	}
	e, known := litellm.Lookup(litellm.Callbacks, s)
	switch {
	case known && e.Answer == litellm.Works:
		return s
	case known && e.Answer == litellm.WorksAs:
		return e.Note
	case known && e.Answer == litellm.Refused:
		v.unenforced(s, e.Note)
	case known:
		v.say(Warning, "isthmus has no callback %q: ignored; %s", s, e.Note)
	case strings.Contains(s, ".") && v.name != "callbacks":
		v.say(Warning, "a Python class cannot be run: ignored; a logger runs as a program of its own with exec:COMMAND, "+
			"see examples/custom-callback")
	case strings.Contains(s, "."):
		v.unenforced(s, "it is a Python class, which may hold requests back: a logger runs as a program of its own with exec:COMMAND, "+
			"see examples/custom-callback")
	default:
		v.say(Warning, "no callback is called %q: ignored; want %s", s, callbackNames)
	}
	return ""
}

func (r *reader) checkCommand(line string) error {
	if r.command == nil {
		return nil
	}
	return r.command(line)
}

func (v value) oneOf(into *string, allowed ...string) {
	s, ok := v.scalar(strings.Join(allowed, ", "))
	if !ok {
		return
	}
	if !slices.Contains(allowed, s) {
		v.fail("want %s, got %s", strings.Join(allowed, ", "), v.shown())
		return
	}
	*into = s
}

// address reads an http or https URL; without a scheme https is meant.
func (v value) address(into *string) {
	s, ok := v.scalar("a URL")
	if !ok {
		return
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		v.fail("want a URL that begins with http:// or https://")
		return
	}
	*into = strings.TrimRight(s, "/")
}

// headers reads a mapping of header names to values, or "k=v,k=v".
func (v value) headers() []upstream.ExtraHeader {
	if v.node != nil && v.present() && len(v.node.Content) == 0 {
		if s, ok := v.scalar("headers"); ok {
			return v.headerPairs(s)
		}
		return nil
	}
	var out []upstream.ExtraHeader
	for _, f := range v.fields() {
		s, ok := f.scalar("text")
		if !ok {
			continue
		}
		if !validHeader(f.name, s) {
			f.fail("not a valid HTTP header name and value")
			continue
		}
		out = append(out, upstream.ExtraHeader{Name: f.name, Value: secret.New(s)})
	}
	return out
}

// headerPairs reads "k=v,k=v". It shows nothing of what it cannot use: that may be
// the rest of a key.
func (v value) headerPairs(text string) []upstream.ExtraHeader {
	var out []upstream.ExtraHeader
	n := 0
	for pair := range strings.SplitSeq(text, ",") {
		n++
		name, s, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || !validHeader(name, s) {
			v.say(Warning, "header %d of the list is no NAME=VALUE: left out", n)
			continue
		}
		out = append(out, upstream.ExtraHeader{Name: name, Value: secret.New(s)})
	}
	return out
}

// validHeader refuses what could smuggle another header or a pseudo-header.
func validHeader(name, text string) bool {
	if name == "" || hasControl(strings.ReplaceAll(text, "\t", " ")) {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c) {
			return false
		}
	}
	return true
}

// finishCallbacks checks that each sink that is on has what it needs.
func (r *reader) finishCallbacks(c *Config) {
	cb := &c.Callbacks
	on := func(name string) bool { return slices.Contains(cb.Success, name) || slices.Contains(cb.Failure, name) }
	off := func(name, why string) {
		severity, then := Warning, "it stays off"
		if r.strict {
			severity, then = Error, "set it, or take the callback out"
		}
		r.diagnostics = append(r.diagnostics, Diagnostic{Severity: severity, Key: "success_callback/failure_callback",
			Message: name + " is on, but " + why + ": " + then})
		drop := func(s string) bool { return s == name }
		cb.Success, cb.Failure = slices.DeleteFunc(cb.Success, drop), slices.DeleteFunc(cb.Failure, drop)
	}
	if on("langfuse") && (cb.Langfuse.PublicKey == "" || cb.Langfuse.SecretKey.IsZero()) {
		off("langfuse", "langfuse_public_key or langfuse_secret_key (LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY) is not set")
	}
	if on("mlflow") && cb.MLflow.TrackingURI == "" {
		off("mlflow", "mlflow_tracking_uri (MLFLOW_TRACKING_URI) is not set")
	}
	if on("webhook") && cb.Webhook.URL == "" {
		off("webhook", "webhook_url (GENERIC_LOGGER_ENDPOINT) is not set")
	}
	cb.Success, cb.Failure = compact(cb.Success), compact(cb.Failure)
}

// compact drops repeated names and keeps the order.
func compact(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
