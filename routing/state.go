package routing

import "time"

// State is what a deployment is doing at one moment, for people to look at.
type State struct {
	Health   string // healthy, cooling, or probing: resting, but for one request that tries it
	InFlight int64
	Used     Used // in the last minute
	// Cooldowns is how many have begun here since the configuration was loaded.
	Cooldowns int64

	// How fast it has answered lately, weighted means; 0: not measured.
	FirstByte time.Duration // of streams
	PerToken  time.Duration // of the answers to other requests, and
	Total     time.Duration // their whole time

	Until time.Time // end of the cooldown; zero when healthy
	Cause string    // the failure that began it
}

// State is the state of a deployment now.
func (r *Router) State(d *Deployment) State {
	now := r.now()
	s := State{
		InFlight: d.InFlight(), Used: r.used(d), Cooldowns: d.cooldowns.Load(),
		FirstByte: seconds(d.pace.firstByte.value()), PerToken: seconds(d.pace.perToken.value()), Total: seconds(d.pace.total.value()),
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
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
