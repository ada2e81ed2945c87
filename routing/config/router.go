package config

import (
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// routerTable is the settings of routing and reliability.
func routerTable() map[string]setter {
	later := func(c *Config, v value) { c.aliases = append(c.aliases, v) }
	return map[string]setter{
		"routing_strategy":      func(c *Config, v value) { v.strategy(&c.Router.Strategy) },
		"routing_strategy_args": func(c *Config, v value) { v.numbers(c.Router.StrategyArguments) },
		"num_retries":           func(c *Config, v value) { v.integer(&c.Router.NumRetries, 0) },
		"retry_after":           func(c *Config, v value) { v.seconds(&c.Router.RetryAfter, 0) },
		"timeout":               func(c *Config, v value) { v.seconds(&c.Router.Timeout, 0.001) },
		"stream_timeout":        func(c *Config, v value) { v.seconds(&c.Router.StreamTimeout, 0.001) },
		"ttft_timeout": func(c *Config, v value) {
			v.seconds(&c.Router.TTFTTimeout, 0)
			v.boundsFirstToken(&c.Router.TTFTTimeout)
		},
		"stream_idle_timeout":         func(c *Config, v value) { v.seconds(&c.Router.StreamIdleTimeout, 0) },
		"stream_failover":             func(c *Config, v value) { v.boolean(&c.Router.StreamFailover) },
		"request_timeout":             func(c *Config, v value) { v.seconds(&c.Router.RequestTimeout, 0) },
		"allowed_fails":               func(c *Config, v value) { v.integer(&c.Router.AllowedFails, 0) },
		"allowed_fails_policy":        func(c *Config, v value) { c.Router.AllowedFailsPolicy = v.allowedFailsPolicy() },
		"allowed_fails_window":        func(c *Config, v value) { v.seconds(&c.Router.FailureWindow, 1) },
		"cooldown_time":               func(c *Config, v value) { v.seconds(&c.Router.CooldownTime, 0) },
		"disable_cooldowns":           func(c *Config, v value) { v.disableCooldowns(c) },
		"max_fallbacks":               func(c *Config, v value) { v.integer(&c.Router.MaxFallbacks, 0) },
		"enable_pre_call_checks":      func(c *Config, v value) { v.boolean(&c.Router.PreCallChecks) },
		"enable_tag_filtering":        func(c *Config, v value) { v.boolean(&c.Router.TagFiltering) },
		"tag_filtering_match_any":     func(c *Config, v value) { v.boolean(&c.Router.TagFilteringAny) },
		"retry_policy":                func(c *Config, v value) { v.retryPolicy(c.Router.RetryPolicy) },
		"model_group_retry_policy":    func(c *Config, v value) { v.groupRetryPolicy(c) },
		"retry_budget_percent":        func(c *Config, v value) { v.percent(&c.Router.RetryBudgetShare) },
		"retry_budget_min_per_second": func(c *Config, v value) { v.integer(&c.Router.RetryBudgetFloor, 0) },
		"model_group_limits":          func(c *Config, v value) { v.groupLimits(c) },
		"default_litellm_params":      func(_ *Config, v value) { v.r.defaultParams = v },
		"model_group_alias":           later,
		"fallbacks":                   later,
		"default_fallbacks":           later,
		"fallback_models":             later,
		"context_window_fallbacks":    later,
		"content_policy_fallbacks":    later,
	}
}

// strategy reads a routing strategy under any of its names.
func (v value) strategy(into *string) {
	s, ok := v.scalar("the name of a strategy")
	if !ok {
		return
	}
	switch s {
	case "simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based":
		*into = s
	case "latency-based-routing":
		*into = "latency-based"
	case "usage-based-routing", "usage-based-routing-v2":
		*into = "usage-based"
	case "cost-based-routing":
		*into = "cost-based"
	default:
		names := []string{"simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based"}
		v.fail("%s is no strategy: want %s%s", v.shown(), strings.Join(names, ", "), hint(s, names))
	}
}

func (v value) disableCooldowns(c *Config) {
	var off bool
	if v.boolean(&off); off {
		c.Router.CooldownTime = 0
	}
}

func (v value) percent(into *float64) {
	if f, ok := v.number(0, false); ok {
		*into = f / 100
	}
}

func (v value) numbers(into map[string]float64) {
	for _, f := range v.fields() {
		if n, ok := f.number(-1e18, false); ok {
			into[f.name] = n
		}
	}
}

// boundsFirstToken keeps the place of a ttft_timeout, unless it is none: it may have
// no effect, see withoutFailover.
func (v value) boundsFirstToken(t *time.Duration) {
	if t != nil && *t > 0 {
		v.r.firstTokens = append(v.r.firstTokens, v)
	}
}

// withoutFailover says of each ttft_timeout that nothing waits for the first content of
// a stream, where that is so.
func (r *reader) withoutFailover(c *Config) {
	if !c.Router.StreamFailover {
		for _, v := range r.firstTokens {
			v.say(Warning, "ignored: with stream_failover: false in router_settings nothing waits for a stream's first content; "+
				"take that out, or bound streams by stream_timeout")
		}
	}
	r.firstTokens = nil
}

// retryClasses are the members of retry_policy.
func retryClasses() []string {
	return []string{"BadRequestErrorRetries", "AuthenticationErrorRetries", "TimeoutErrorRetries", "RateLimitErrorRetries",
		"ContentPolicyViolationErrorRetries", "InternalServerErrorRetries", "ServiceUnavailableErrorRetries",
		"NotFoundErrorRetries", "DefaultRetries"}
}

// retryPolicy reads LiteLLM's retry_policy: retries per class of error.
func (v value) retryPolicy(into map[string]int) {
	for _, f := range v.fields() {
		f.ofClass("Retries", retryClasses(), into)
	}
}

// ofClass reads a number for the class of error that the key names, with a suffix.
func (v value) ofClass(suffix string, classes []string, into map[string]int) {
	if !slices.Contains(classes, v.name) {
		v.unknown(classes)
		return
	}
	var n int
	v.integer(&n, 0)
	into[strings.TrimSuffix(strings.TrimSuffix(v.name, suffix), "Error")] = n
}

// allowedFailsPolicy reads LiteLLM's allowed_fails_policy: failures per class of
// error.
func (v value) allowedFailsPolicy() map[string]int {
	classes := []string{"AuthenticationErrorAllowedFails", "TimeoutErrorAllowedFails", "RateLimitErrorAllowedFails",
		"InternalServerErrorAllowedFails", "ServiceUnavailableErrorAllowedFails", "NotFoundErrorAllowedFails"}
	policy := map[string]int{}
	for _, f := range v.fields() {
		switch f.name {
		case "BadRequestErrorAllowedFails", "ContentPolicyViolationErrorAllowedFails":
			f.say(Warning, "a client's own mistake never cools a deployment: ignored")
		case "BadGatewayErrorAllowedFails":
			f.say(Warning, "a 502 counts as ServiceUnavailableError: ignored; set ServiceUnavailableErrorAllowedFails")
		default:
			f.ofClass("AllowedFails", classes, policy)
		}
	}
	return policy
}

func (v value) groupRetryPolicy(c *Config) {
	for _, f := range v.fields() {
		policy := map[string]int{}
		f.retryPolicy(policy)
		c.Router.GroupRetryPolicy[f.name] = policy
		c.perGroup = append(c.perGroup, f)
	}
}

// masterKey reads the key that clients must send. A key that is asked for and not
// there is an error: it must not open the gateway to everybody.
func (v value) masterKey(into *secret.Text) {
	v.secret(into)
	switch text := strings.TrimSpace(into.Reveal()); {
	case v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!bool":
		v.fail("want the key as text, got true or false: remove master_key to let everybody in")
	case strings.HasPrefix(text, "${"), strings.HasPrefix(text, "{{"), strings.HasPrefix(strings.ToLower(text), "os.environ"):
		v.fail("the key would be the name of a variable, which everybody can guess: say os.environ/NAME")
	}
	if strings.TrimSpace(into.Reveal()) != "" {
		return
	}
	*into = secret.Text{}
	if name, ok := v.envName(); ok {
		if v.r.keysElsewhere {
			*into = secret.New(keyElsewhere)
			return
		}
		v.fail("$%s is not set, and everybody would be let in: set it, or remove master_key", name)
		return
	}
	v.fail("the key is empty, and everybody would be let in: give one, or remove master_key")
}

func (v value) headerName(into *string) {
	var s string
	if v.str(&s); s == "" {
		return
	}
	if !validHeader(s, "") {
		v.fail("want the name of an HTTP header, got %s", v.shown())
		return
	}
	*into = strings.ToLower(s)
}

// sharedLimit reads the limits of a model group or a caller.
func (v value) sharedLimit(into *SharedLimit) {
	for _, f := range v.fields() {
		if name, ok := f.unsetVariable(); ok {
			f.fail("$%s is not set, and nothing would be limited: set it, or remove %s", name, f.name)
			continue
		}
		switch {
		case f.rate(&into.RPM, &into.TPM, &into.ITPM, &into.OTPM):
		case f.name == "max_parallel_requests":
			f.integer(&into.MaxParallel, 0)
		default:
			f.fail("unknown key, and so nothing is limited by it: want rpm, tpm, itpm, otpm or max_parallel_requests")
		}
	}
}

// groupLimits reads the limits of model groups.
func (v value) groupLimits(c *Config) {
	for _, group := range v.fields() {
		var limit SharedLimit
		group.sharedLimit(&limit)
		c.Router.GroupLimits[group.name] = limit
		c.perGroup = append(c.perGroup, group)
	}
}
