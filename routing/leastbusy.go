package routing

// Peers knows what other replicas have in flight, so that least-busy can count
// it. Its answer may be a moment old.
type Peers interface {
	InFlight(deployment string) int64
}

// leastBusy chooses the deployment with the fewest attempts in flight, on all
// replicas when peers is there, at random among equals.
type leastBusy struct {
	float func() float64
	peers Peers // nil: this replica is alone
}

func (s leastBusy) Pick(_ *Call, from []*Deployment) int {
	best, equals := 0, 1.0
	load := s.load(from[0])
	for i := 1; i < len(from); i++ {
		switch n := s.load(from[i]); {
		case n < load:
			best, load, equals = i, n, 1
		case n == load:
			equals++
			if s.float()*equals < 1 {
				best = i
			}
		}
	}
	return best
}

func (s leastBusy) load(d *Deployment) int64 {
	n := d.InFlight()
	if s.peers != nil {
		n += s.peers.InFlight(d.ID)
	}
	return n
}
