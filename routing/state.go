package routing

import (
	"time"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// State is what a deployment is doing at one moment, for people to look at.
type State struct {
	Health   string // healthy, cooling, or probing: resting, but for one request that tries it
	InFlight int64
	Used     Used // in the last minute
	// Cooldowns is how many have begun here since the configuration was loaded.
	Cooldowns int64

	// How fast it has answered lately, weighted means; 0: not measured.
	FirstToken time.Duration // of streams
	PerToken   time.Duration // of the answers to other requests, and
	Total      time.Duration // their whole time

	Until time.Time // end of the cooldown; zero when healthy
	Cause string    // the failure that began it
	// Repeated is how often it has failed again since, each time after a cooldown.
	Repeated int
}

// State is the state of a deployment now.
func (r *Router) State(d *Deployment) State {
	now := r.now()
	s := State{
		InFlight: d.InFlight(), Used: r.used(d), Cooldowns: d.cooldowns.Load(),
		FirstToken: seconds(d.pace.firstToken.value()), PerToken: seconds(d.pace.perToken.value()), Total: seconds(d.pace.total.value()),
	}
	switch d.health.phase(now) {
	case healthy:
		s.Health = "healthy"
		return s
	case cooling:
		s.Health = "cooling"
	default:
		s.Health = "probing"
	}
	s.Until, s.Cause = d.health.cooldown()
	s.Repeated = d.health.repeated()
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Stage is one step of a cascade, for people to look at.
type Stage struct {
	Group    string // model_name: a wildcard for the names that it serves
	Model    string // asked for instead of the deployments' own; "" is theirs
	Fallback bool   // tried only when what the name itself stands for has failed
}

// Cascade is what a name leads to, step by step, when the request says nothing
// of its own; none when there is no such name.
func (r *Router) Cascade(name string) []Stage {
	own := r.resolve(name)
	if len(own) == 0 {
		return nil
	}
	var out []Stage
	for i, t := range r.cascade(&Call{Request: &chat.Request{Model: name}}, own) {
		out = append(out, Stage{Group: t.modelName(), Model: t.model, Fallback: i >= len(own)})
	}
	return out
}
