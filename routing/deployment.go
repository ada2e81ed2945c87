package routing

import (
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/wildcard"
	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Deployment is one entry of model_list: a model at a provider, with a key. Its
// exported fields are fixed when the configuration is loaded; its load and
// health change as requests run and are safe for concurrent use.
type Deployment struct {
	ID       string
	Group    string // model_name: the model group it belongs to
	Provider string
	Model    string // the provider's name of the model; may hold "*"
	// Cluster is the Envoy upstream cluster that leads to it. The address is a part
	// of its name: an Envoy that knows another address of the deployment must not
	// send this one's key there.
	Cluster string
	// StreamCluster leads to it too, and bounds the time to a stream's first byte and
	// the gaps after it by StreamTimeout; "": no other deployment has a longer time.
	StreamCluster string
	BaseURL       string // scheme://host[:port]/path of the provider

	Weight        float64 // share under simple-shuffle; spareWeight for none, never zero
	Order         int     // lower is tried first; 0 is unset
	Tags          []string
	Timeout       time.Duration // one attempt
	StreamTimeout time.Duration // the same for streaming requests; 0 = Timeout
	TTFTTimeout   time.Duration // of a stream to its first content; 0: Timeout bounds it
	StreamIdle    time.Duration // of a stream, the longest gap after that; 0: Timeout bounds it
	NumRetries    *int          // instead of the router's
	MockResponse  *string       // answer with this text, without calling the provider

	Mode           string  // chat, embedding, …; "" is unsaid
	RPM, TPM       int64   // requests and tokens per minute; 0: no limit
	MaxInputTokens int     // 0: unknown
	InputCost      float64 // per token
	OutputCost     float64 // per token
	Priced         bool    // the configuration says what it costs

	names  wildcard.Pattern // Group: which names it serves
	models wildcard.Pattern // Model

	target     upstream.Target
	translator *translate.Bound            // for Model; nil when it holds "*"
	renamed    map[string]*translate.Bound // for the other model names the configuration gives it

	allowedFails *int           // instead of the router's
	failsByClass map[string]int // allowed_fails_policy, instead of the router's; nil: the router's
	cooldown     *time.Duration // instead of the router's

	scheme, authority string

	// What usage-based compares with: its own limits, or the mean of those its
	// group's others have; 0 when none has one.
	shareRPM, shareTPM float64
	alone              bool // its group has no other deployment

	*liveState
}

// liveState is the load and health of a deployment. They outlive the configuration:
// the same deployment under the next one goes on with them.
type liveState struct {
	inFlight  atomic.Int64
	cooldowns atomic.Int64 // begun
	behind200 atomic.Int64 // when its last error behind 200 to a blocking request came, in Unix seconds; 0: never
	health    health
	pace      pace
	meter     meter
}

// sameAs reports whether the deployment is what another configuration had under
// its id: what was learnt of that one holds for it.
func (d *Deployment) sameAs(old *Deployment) bool {
	return d.ID == old.ID && d.Cluster == old.Cluster && d.Provider == old.Provider && d.Model == old.Model &&
		d.target.APIKey.Reveal() == old.target.APIKey.Reveal() && d.target.AzureADToken.Reveal() == old.target.AzureADToken.Reveal()
}

// Scheme is "http" or "https".
func (d *Deployment) Scheme() string { return d.scheme }

// Authority is the host, and the port unless it is the scheme's own, that the
// provider is asked under.
func (d *Deployment) Authority() string { return d.authority }

// InFlight is the number of attempts running on the deployment.
func (d *Deployment) InFlight() int64 { return d.inFlight.Load() }

// wildcard reports whether the provider's model name depends on the request.
func (d *Deployment) wildcard() bool { return d.models.Stars() > 0 }

// modelFor is the provider's name of the model when name is asked for: each star of
// Model is what the star in its place of Group stood for. A Model with more stars
// than that gets the whole name. A star may stand for nothing, a model's name may not.
func (d *Deployment) modelFor(name string) (string, error) {
	captures, _ := d.names.Captures(name)
	model, ok := d.models.Fill(captures, name)
	if !ok || model == "" {
		return "", chat.ModelNotFound(name)
	}
	return model, nil
}

// NameFor is what to ask for to get this model of the provider; false: the
// deployment does not serve it.
func (d *Deployment) NameFor(model string) (string, bool) {
	captures, ok := d.models.Captures(model)
	if !ok {
		return "", false
	}
	name, ok := d.names.Fill(captures, model)
	if asked, err := d.modelFor(name); !ok || err != nil || d.wildcard() && asked != model {
		return "", false
	}
	return name, true
}

// translator returns the Translator for a model name: "" is the deployment's own.
func (d *Deployment) translatorFor(model string) (*translate.Bound, error) {
	if model == "" || model == d.Model && !d.wildcard() { // "*" may be asked for, too
		return d.translator, nil
	}
	if t, ok := d.renamed[model]; ok {
		return t, nil
	}
	return d.bind(model)
}

// bind makes a Translator that asks the provider for another model.
func (d *Deployment) bind(model string) (*translate.Bound, error) {
	target := d.target
	target.Model = model
	return translate.Bind(&target)
}
