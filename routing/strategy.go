package routing

// Strategy chooses among the deployments of a group that may be used now. It is
// asked again, with those chosen before taken out, for each further attempt of
// the plan. from has at least one entry and must not be changed. Pick is called
// by many requests at once.
type Strategy interface {
	Pick(from []*Deployment) int
}

// shuffle is simple-shuffle: a random choice in proportion to the weights.
type shuffle struct{ float func() float64 }

func (s shuffle) Pick(from []*Deployment) int {
	if len(from) == 1 {
		return 0
	}
	var total float64
	for _, d := range from {
		total += d.Weight
	}
	point := s.float() * total
	for i, d := range from {
		if point -= d.Weight; point < 0 {
			return i
		}
	}
	return len(from) - 1
}

// leastBusy chooses the deployment with the fewest attempts in flight, at random
// among equals.
type leastBusy struct{ float func() float64 }

func (s leastBusy) Pick(from []*Deployment) int {
	best, equals := 0, 1
	load := from[0].InFlight()
	for i := 1; i < len(from); i++ {
		switch n := from[i].InFlight(); {
		case n < load:
			best, load, equals = i, n, 1
		case n == load:
			equals++
			if s.float()*float64(equals) < 1 {
				best = i
			}
		}
	}
	return best
}
