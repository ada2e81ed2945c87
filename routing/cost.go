package routing

// costBased chooses the cheapest deployment by the sum of its prices for an
// input and an output token, at random among equals. One whose price is not
// configured comes after all that have one.
type costBased struct{ float func() float64 }

func (s costBased) Pick(_ *Call, from []*Deployment) int {
	best, equals := 0, 1.0
	for i := 1; i < len(from); i++ {
		switch {
		case cheaper(from[i], from[best]):
			best, equals = i, 1
		case !cheaper(from[best], from[i]):
			equals++
			if s.float()*equals < 1 {
				best = i
			}
		}
	}
	return best
}

func cheaper(a, b *Deployment) bool {
	if a.Priced != b.Priced {
		return a.Priced
	}
	return a.Priced && a.InputCost+a.OutputCost < b.InputCost+b.OutputCost
}
