package routing

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/wildcard"
	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Options are what a Router takes from outside, so that tests own time and
// chance. The zero value is usable.
type Options struct {
	Now   func() time.Time // nil = time.Now
	Float func() float64   // uniform in [0, 1), safe for concurrent use; nil = math/rand/v2

	Limits Limits // the limits of deployments; nil: there are none
	Usage  Usage  // what usage-based goes by; nil: this replica's own count
	Peers  Peers  // what other replicas have in flight; nil: there are none

	// Previous is the Router of the configuration that this one replaces; nil:
	// none. Deployments that stay what they were keep their load and health.
	Previous *Router
}

const (
	// maxCooldown bounds a cooldown that a provider asks for.
	maxCooldown = 5 * time.Minute
	// maxGrown bounds a cooldown that grew because its deployment failed again: a
	// provider that is back is noticed within this time.
	maxGrown = time.Minute
)

// New builds the Router of a configuration. The error names the deployment that
// cannot be spoken to.
func New(c *config.Config, o Options) (*Router, error) {
	r := &Router{
		now: o.Now, float: o.Float, limits: o.Limits, usage: o.Usage, peers: o.Peers, changes: make(chan change, maxChanges),
		requestTimeout: c.Router.RequestTimeout, policies: newPolicies(c.Router.RetryPolicy, c.Router.GroupRetryPolicy),
		tags: tagRules{c.Router.TagFiltering, c.Router.TagFilteringAny}, checkWindow: c.Router.PreCallChecks,
		numRetries: c.Router.NumRetries, maxFallbacks: c.Router.MaxFallbacks, retryAfter: c.Router.RetryAfter,
		health: HealthPolicy{
			AllowedFails: c.Router.AllowedFails, ByClass: c.Router.AllowedFailsPolicy, Window: c.Router.FailureWindow,
			Cooldown: c.Router.CooldownTime, MaxCooldown: maxCooldown, MaxGrown: maxGrown,
		},
		contextWindow: c.Router.ContextWindowFallback, contentPolicy: c.Router.ContentPolicyFallback,
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.float == nil {
		r.float = rand.Float64
	}
	redactor := secret.NewRedactor(secret.All(c)...)
	deployments := make([]*Deployment, len(c.Deployments))
	for i := range c.Deployments {
		d := newDeployment(c, &c.Deployments[i])
		d.target.Redactor = redactor
		if err := d.link(); err != nil {
			return nil, fmt.Errorf("model_list entry %s (line %d): %w", d.Group, c.Deployments[i].Line, err)
		}
		d.liveState = o.Previous.liveStateOf(d)
		deployments[i] = d
	}
	r.index(deployments)
	r.strategy = r.newStrategy(c.Router.Strategy, c.Router.StrategyArguments)
	if err := r.linkNames(c); err != nil {
		return nil, err
	}
	r.linkTimeouts()
	nameKeys(r, c.Router.Fallbacks)
	nameKeys(r, c.Router.ContextWindowFallback)
	nameKeys(r, c.Router.ContentPolicyFallback)
	nameKeys(r, c.Router.GroupRetryPolicy)
	nameKeys(r, c.Router.GroupLimits)
	r.makeBudgets(c.Router.RetryBudgetShare, c.Router.RetryBudgetFloor)
	for _, l := range c.LeftOut {
		r.leftOut = append(r.leftOut, LeftOut{Group: l.ModelName, Reason: "$" + l.Variable + " is not set"})
	}
	return r, nil
}

// makeBudgets gives each name that can be asked for its retry budget.
func (r *Router) makeBudgets(share float64, floor int) {
	r.budgets = make(map[string]*retryBudget)
	add := func(name string) { r.budgets[name] = &retryBudget{share: share, floor: int64(floor)} }
	for name := range r.groups {
		add(name)
	}
	for name := range r.aliases {
		add(name)
	}
	for _, name := range r.named {
		add(name)
	}
}

func newDeployment(c *config.Config, d *config.Deployment) *Deployment {
	out := &Deployment{
		ID: d.ID, Group: d.ModelName, Provider: d.Provider, Model: d.Model,
		Weight: weight(d), Order: d.Order, Tags: d.Tags, Timeout: c.Router.Timeout, StreamTimeout: c.Router.StreamTimeout,
		TTFTTimeout: c.Router.TTFTTimeout, StreamIdle: c.Router.StreamIdleTimeout,
		Mode: d.Mode, RPM: d.RPM, TPM: d.TPM, MaxInputTokens: d.MaxInputTokens,
		InputCost: d.InputCost, OutputCost: d.OutputCost, Priced: d.Priced,
		NumRetries: d.NumRetries, MockResponse: d.MockResponse, allowedFails: d.AllowedFails, cooldown: d.CooldownTime,
		failsByClass: d.AllowedFailsPolicy,
		target: upstream.Target{
			Provider: d.Provider, Model: d.Model, BaseURL: d.APIBase, CustomBase: d.CustomBase, APIKey: d.APIKey, AzureADToken: d.AzureADToken,
			APIVersion: d.APIVersion, BaseModel: d.BaseModel, Organization: d.Organization, Headers: d.Headers, Defaults: d.Defaults,
			DropParams: c.DropParams, DropAlso: d.AdditionalDropParams, AllowAlso: d.AllowedOpenAIParams, HideStreamUsage: !c.StreamUsage,
			CarryStreams: d.StreamPassthrough,
		},
	}
	if d.DropParams != nil {
		out.target.DropParams = *d.DropParams
	}
	if d.Timeout != nil {
		out.Timeout = *d.Timeout
		out.StreamTimeout = 0 // the entry's own timeout holds for its streams too
	}
	if d.StreamTimeout != nil {
		out.StreamTimeout = *d.StreamTimeout
	}
	if d.TTFTTimeout != nil {
		out.TTFTTimeout = *d.TTFTTimeout
	}
	if d.StreamIdleTimeout != nil {
		out.StreamIdle = *d.StreamIdleTimeout
	}
	return out
}

// spareWeight is the share of a deployment with weight: 0. It is chosen when no
// other of its group can be.
const spareWeight = 1e-9

// weight is the share of a deployment: weight, else rpm, else tpm.
func weight(d *config.Deployment) float64 {
	switch {
	case d.Weight != nil:
		return max(*d.Weight, spareWeight)
	case d.RPM > 0:
		return float64(d.RPM)
	}
	return float64(d.TPM)
}

// linkNames resolves aliases and fallbacks to stages, and binds the other model
// names that they give deployments.
func (r *Router) linkNames(c *config.Config) error {
	r.aliases = make(map[string][]target, len(c.Router.Aliases))
	for _, a := range c.Router.Aliases {
		stages, err := r.stages(a.Targets)
		if err != nil {
			return err
		}
		if len(stages) == 0 {
			continue // all that it stands for is left out
		}
		r.aliases[a.Name] = stages
		if _, group := r.groups[a.Name]; !a.Hidden && !group {
			r.models = append(r.models, a.Name)
		}
	}
	r.fallbacks = make(map[string][]target, len(c.Router.Fallbacks))
	for group, targets := range c.Router.Fallbacks {
		stages, err := r.stages(targets)
		if err != nil {
			return err
		}
		r.fallbacks[group] = stages
	}
	for _, t := range c.Router.DefaultFallbacks {
		r.defaults = append(r.defaults, fallback{group: t.Group, model: t.Model})
		if t.Model == "" {
			continue
		}
		for _, d := range r.deployments {
			if err := d.rename(t.Model); err != nil {
				return err
			}
		}
	}
	return nil
}

// stages resolves the targets of an alias or of fallbacks.
func (r *Router) stages(targets []config.Target) ([]target, error) {
	var out []target
	for _, t := range targets {
		found := r.resolveGroup(t.Group)
		if t.Model == "" {
			if len(found) == 0 {
				found = r.resolve(t.Group) // an alias
			}
			out = append(out, found...)
			continue
		}
		for _, stage := range found {
			for _, d := range stage.group {
				if err := d.rename(t.Model); err != nil {
					return nil, err
				}
			}
			out = append(out, target{group: stage.group, name: stage.name, model: t.Model})
		}
	}
	return out, nil
}

// rename prepares the deployment to be asked for another model.
func (d *Deployment) rename(model string) error {
	if d.renamed == nil {
		d.renamed = make(map[string]*translate.Bound)
	}
	translator, err := d.bind(model)
	if err != nil {
		return err
	}
	d.renamed[model] = translator
	return nil
}

// link finishes a deployment: its address and its Translator.
func (d *Deployment) link() error {
	base, err := url.Parse(d.target.BaseURL)
	if err != nil || base.Host == "" {
		return fmt.Errorf("api_base %q is not a URL with a host", d.target.BaseURL)
	}
	d.BaseURL, d.scheme, d.authority = d.target.BaseURL, base.Scheme, authority(base)
	d.names, d.models = wildcard.New(d.Group), wildcard.New(d.Model)
	d.Cluster = "deployment/" + d.ID + "/" + endpoint(base, d.authority)
	if d.wildcard() {
		return nil // bound per request, when the model is known
	}
	d.translator, err = translate.Bind(&d.target)
	return err
}

// authority is the host as it is sent: in ASCII, without the scheme's own port.
func authority(u *url.URL) string {
	if name, err := idna.Lookup.ToASCII(u.Hostname()); err == nil && name != u.Hostname() {
		ascii := *u
		ascii.Host = strings.Replace(u.Host, u.Hostname(), name, 1)
		u = &ascii
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Host
}

// endpoint is an authority with its port, also where it is the scheme's own.
func endpoint(u *url.URL, authority string) string {
	switch {
	case u.Port() != "":
		return strings.TrimSuffix(authority, ":"+u.Port()) + ":" + u.Port()
	case u.Scheme == "https":
		return authority + ":443"
	}
	return authority + ":80"
}

// liveStateOf are those of the same deployment here, or new ones. There may be no
// Router.
func (r *Router) liveStateOf(d *Deployment) *liveState {
	if r != nil {
		if old := r.byID[d.ID]; old != nil && d.sameAs(old) {
			return old.liveState
		}
	}
	return &liveState{}
}

// index groups the deployments by model name and spreads the weights.
func (r *Router) index(deployments []*Deployment) {
	r.deployments = deployments
	r.byID = make(map[string]*Deployment, len(deployments))
	r.groups = make(map[string][]*Deployment)
	var order []string
	for _, d := range deployments {
		if _, ok := r.groups[d.Group]; !ok {
			order = append(order, d.Group)
		}
		r.groups[d.Group] = append(r.groups[d.Group], d)
		r.byID[d.ID] = d
	}
	for _, name := range order {
		fillWeights(r.groups[name])
		fillShares(r.groups[name])
		for _, d := range r.groups[name] {
			d.alone = len(r.groups[name]) < 2
		}
		r.models = append(r.models, name)
		if p := wildcard.New(name); p.Stars() > 0 {
			r.patterns = append(r.patterns, pattern{p, r.groups[name]})
		}
	}
	sortPatterns(r.patterns)
}

// fillWeights gives a deployment without a weight the mean of the others: none
// is starved for having been left out.
func fillWeights(group []*Deployment) {
	mean := meanOf(group, func(d *Deployment) float64 {
		if d.Weight == spareWeight {
			return 0
		}
		return d.Weight
	})
	if mean == 0 {
		mean = 1
	}
	for _, d := range group {
		if d.Weight <= 0 {
			d.Weight = mean
		}
	}
}
