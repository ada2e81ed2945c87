package routing

// usageBased chooses the deployment that has used the smallest share of its own
// rpm and tpm in the sliding minute, whichever of the two is nearer its end. In
// a group without quotas it is the one with the fewest tokens. Running
// requests count with the tokens that a request has taken lately: else all would
// go to one deployment until its first answers are in.
type usageBased struct {
	float func() float64
	used  func(*Deployment) Used
	each  func(*Deployment) float64 // tokens of one attempt; 0: unknown
}

func (s usageBased) Pick(call *Call, from []*Deployment) int {
	if len(from) == 1 {
		return 0
	}
	best, equals := 0, 1.0
	least := s.share(call, from[0])
	for i := 1; i < len(from); i++ {
		switch share := s.share(call, from[i]); {
		case share < least:
			best, least, equals = i, share, 1
		case share == least:
			equals++
			if s.float()*equals < 1 {
				best = i
			}
		}
	}
	return best
}

func (s usageBased) share(call *Call, d *Deployment) float64 {
	used, running := s.used(d), d.InFlight()
	each := s.each(d)
	if each == 0 {
		each = float64(call.Tokens())
	}
	tokens := float64(used.Tokens) + float64(running)*each
	if d.shareRPM == 0 && d.shareTPM == 0 {
		return tokens
	}
	var share float64
	if d.shareRPM > 0 {
		share = float64(used.Requests) / d.shareRPM
	}
	if d.shareTPM > 0 {
		share = max(share, tokens/d.shareTPM)
	}
	return share
}

// fillShares gives a deployment without any quota the mean of its group's, to be
// compared by: it has all the room, but must not take all the requests.
func fillShares(group []*Deployment) {
	rpm, tpm := meanOf(group, (*Deployment).rpm), meanOf(group, (*Deployment).tpm)
	for _, d := range group {
		d.shareRPM, d.shareTPM = d.rpm(), d.tpm()
		if d.RPM == 0 && d.TPM == 0 {
			d.shareRPM, d.shareTPM = rpm, tpm
		}
	}
}

func (d *Deployment) rpm() float64 { return float64(d.RPM) }
func (d *Deployment) tpm() float64 { return float64(d.TPM) }

// meanOf is the mean of a quantity over those that have it; 0 when none has.
func meanOf(group []*Deployment, of func(*Deployment) float64) float64 {
	var sum, n float64
	for _, d := range group {
		if v := of(d); v > 0 {
			sum += v
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
