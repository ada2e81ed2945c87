package admin

import (
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/extproc"
)

// healthReport is the body of GET /health on the admin port.
type healthReport struct {
	Config      configReport      `json:"config"`
	Envoy       *envoyReport      `json:"envoy,omitzero"`
	Deployments []deploymentState `json:"deployments"`
	LeftOut     []leftOut         `json:"left_out"`
	Unenforced  []string          `json:"unenforced"` // what the configuration restricts and isthmus does not enforce
}

// deploymentState is what a deployment is doing. Usage is that of the last 60 s.
type deploymentState struct {
	ID       string `json:"id"`
	Group    string `json:"model_group"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
	State    string `json:"state"` // healthy, cooling or probing
	InFlight int64  `json:"in_flight"`

	FirstToken float64 `json:"latency_first_token_ms,omitzero"` // of streams; weighted means, as what follows
	Total      float64 `json:"latency_total_ms,omitzero"`
	PerToken   float64 `json:"latency_per_token_ms,omitzero"`

	Requests int64 `json:"requests_last_minute"`
	Tokens   int64 `json:"tokens_last_minute"`
	Failures int64 `json:"failures_last_minute"`
	RPM      int64 `json:"rpm,omitzero"`
	TPM      int64 `json:"tpm,omitzero"`

	// Of all replicas, where there is such a limit.
	Input       int64 `json:"input_tokens_last_minute,omitzero"`
	Output      int64 `json:"output_tokens_last_minute,omitzero"`
	Running     int64 `json:"running,omitzero"`
	ITPM        int64 `json:"itpm,omitzero"`
	OTPM        int64 `json:"otpm,omitzero"`
	MaxParallel int64 `json:"max_parallel_requests,omitzero"`

	Until string `json:"cooldown_until,omitzero"` // RFC 3339
	Cause string `json:"cooldown_cause,omitzero"`
	// Repeats is how often it has failed again since, each time after a cooldown.
	Repeats int `json:"cooldown_repeats,omitzero"`
}

// leftOut is a deployment of the configuration that is not served.
type leftOut struct {
	Group  string `json:"model_group"`
	Reason string `json:"reason"`
}

// configReport is what it says of the configuration in force.
type configReport struct {
	Loaded  string `json:"loaded_at"`           // RFC 3339
	Refused string `json:"refused_at,omitzero"` // a later one, which cannot be used: the log says why
}

// envoyReport is what it says of the Envoy that this process runs.
type envoyReport struct {
	Restarts int64  `json:"restarts"`
	Down     string `json:"down_since,omitzero"` // RFC 3339; the log says why
}

func (h *Handler) health(g *extproc.Snapshot) []byte {
	state := h.runtime.State()
	report := healthReport{
		Config:      configReport{Loaded: moment(state.Loaded), Refused: moment(state.Refused)},
		Deployments: []deploymentState{}, LeftOut: []leftOut{}, Unenforced: append([]string{}, g.Unenforced()...),
	}
	if state.EnvoyRestarts > 0 {
		report.Envoy = &envoyReport{Restarts: state.EnvoyRestarts, Down: moment(state.EnvoyDown)}
	}
	for _, v := range g.Deployments() {
		report.Deployments = append(report.Deployments, stateOf(&v))
	}
	for _, l := range g.Router().LeftOut() {
		report.LeftOut = append(report.LeftOut, leftOut(l))
	}
	return document(report)
}

func stateOf(v *extproc.DeploymentView) deploymentState {
	d, now := v.Deployment, &v.State
	return deploymentState{
		ID: d.ID, Group: d.Group, Provider: d.Provider, Model: d.Model, State: now.Health, InFlight: now.InFlight,
		FirstToken: inMilliseconds(now.FirstToken), Total: inMilliseconds(now.Total), PerToken: inMilliseconds(now.PerToken),
		Requests: now.Used.Requests, Tokens: now.Used.Tokens, Failures: now.Used.Failures, RPM: d.RPM, TPM: d.TPM,
		Input: v.Own.Input, Output: v.Own.Output, Running: v.Own.Running,
		ITPM: v.Own.ITPM, OTPM: v.Own.OTPM, MaxParallel: v.Own.MaxParallel,
		Until: moment(now.Until), Cause: now.Cause, Repeats: now.Repeated,
	}
}

// moment is a time in RFC 3339, in UTC; "" for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// inMilliseconds keeps microseconds.
func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// modelEntry is one model of GET /model/info as LiteLLM shapes it, without anything that
// identifies an account: no keys, no addresses.
type modelEntry struct {
	Name   string      `json:"model_name"`
	Params modelParams `json:"litellm_params"`
	Info   modelFacts  `json:"model_info"`
}

type modelParams struct {
	Model  string   `json:"model"`
	RPM    int64    `json:"rpm,omitzero"`
	TPM    int64    `json:"tpm,omitzero"`
	Weight float64  `json:"weight"`
	Order  int      `json:"order,omitzero"`
	Tags   []string `json:"tags,omitzero"`
}

type modelFacts struct {
	ID             string          `json:"id"`
	FromDatabase   bool            `json:"db_model"` // never: LiteLLM's clients read it
	Provider       string          `json:"litellm_provider"`
	Mode           string          `json:"mode,omitzero"`
	MaxInputTokens int             `json:"max_input_tokens,omitzero"`
	InputCost      *float64        `json:"input_cost_per_token"`
	OutputCost     *float64        `json:"output_cost_per_token"`
	State          deploymentState `json:"isthmus_state"`
}

func modelInfo(g *extproc.Snapshot) []byte {
	data := []modelEntry{}
	for _, v := range g.Deployments() {
		d := v.Deployment
		m := modelEntry{
			Name:   d.Group,
			Params: modelParams{Model: d.Provider + "/" + d.Model, RPM: d.RPM, TPM: d.TPM, Weight: d.Weight, Order: d.Order, Tags: d.Tags},
			Info: modelFacts{
				ID: d.ID, Provider: d.Provider, Mode: d.Mode, MaxInputTokens: d.MaxInputTokens, State: stateOf(&v),
			},
		}
		if d.Priced {
			m.Info.InputCost, m.Info.OutputCost = &d.InputCost, &d.OutputCost
		}
		data = append(data, m)
	}
	return document(struct {
		Data []modelEntry `json:"data"`
	}{data})
}

// document writes a value of strings and numbers, which cannot fail.
func document(v any) []byte {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return []byte(`{}`)
	}
	return body
}
