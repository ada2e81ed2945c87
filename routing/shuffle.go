package routing

// shuffle is simple-shuffle: a random choice in proportion to the weights.
type shuffle struct{ float func() float64 }

func (s shuffle) Pick(_ *Call, from []*Deployment) int {
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
