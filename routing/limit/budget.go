package limit

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Budget is what may be used per minute and at the same time; 0 is no limit.
type Budget struct {
	RPM         int64 // requests per minute
	TPM         int64 // tokens per minute, input and output together
	ITPM, OTPM  int64 // input and output tokens per minute
	MaxParallel int64 // requests at the same time
}

func (b Budget) countsTokens() bool { return b.TPM > 0 || b.ITPM > 0 || b.OTPM > 0 }

// countsTokens reports whether any of the budgets is of tokens.
func (o *Options) countsTokens() bool {
	counts := o.Caller.countsTokens()
	for _, d := range o.Deployments {
		counts = counts || d.Budget.countsTokens()
	}
	for _, b := range o.Groups {
		counts = counts || b.countsTokens()
	}
	return counts
}

// metric is what a window counts.
type metric int

const (
	requests metric = iota
	tokens
	input
	output
	metrics // the number of them
)

// suffix is the end of a metric's key.
func (m metric) suffix() string { return [metrics]string{"/rpm", "/tpm", "/itpm", "/otpm"}[m] }

// keyedBudget is a Budget with the keys it is kept under.
type keyedBudget struct {
	limits   [metrics]int64
	keys     [metrics]string // "" where there is no limit
	parallel int64
	slot     string
	windows  int // how many limits there are
}

// What the keys of a budget begin with: of a deployment, a model group or a caller.
const (
	deploymentKeys = "d/"
	groupKeys      = "g/"
	callerKeys     = "c/"
)

// slotSuffix is the end of a key of slots.
const slotSuffix = "/slots"

// newKeyedBudget names the keys of a budget.
func newKeyedBudget(name string, b Budget) keyedBudget {
	m := keyedBudget{limits: [metrics]int64{b.RPM, b.TPM, b.ITPM, b.OTPM}, parallel: b.MaxParallel}
	for i, limit := range m.limits {
		if limit > 0 {
			m.keys[i] = name + metric(i).suffix()
			m.windows++
		}
	}
	if b.MaxParallel > 0 {
		m.slot = name + slotSuffix
	}
	return m
}

func (m *keyedBudget) limited() bool { return m.windows > 0 || m.parallel > 0 }

// fits reports whether a request with this input can be served at all. What is
// expected of its output may be more than a minute's tokens: it gets an empty
// window.
func (m *keyedBudget) fits(size estimate) bool { return len(m.exceeded(size)) == 0 }

// exceeded are the limits per minute in which a request with this input never fits; nil: there are none.
func (m *keyedBudget) exceeded(size estimate) (limits []Reached) {
	for _, i := range []metric{tokens, input} {
		if limit := m.limits[i]; limit > 0 && size.input > limit {
			limits = append(limits, Reached{limitName(m.keys[i], i.suffix()), i.suffix()[1:], limit})
		}
	}
	return limits
}

// cost is what a request of the estimated size takes of a metric.
func (e estimate) cost(m metric) int64 {
	switch m {
	case requests:
		return 1
	case tokens:
		return e.input + e.output
	case input:
		return e.input
	}
	return e.output
}

// callerName makes a key of whatever names a caller. It is hashed: the name may
// be a key of the caller's, and of any length.
func callerName(caller string) string {
	sum := sha256.Sum256([]byte(caller))
	return callerKeys + hex.EncodeToString(sum[:16])
}

// charge is one window that a request was charged in.
type charge struct {
	key    string
	metric metric
	cost   int64
	limit  int64
}

// draft is a Demand being put together, with what it charges.
type draft struct {
	windows []store.Window
	slots   []store.Slot
	charges []charge
}

func (d *draft) add(m *keyedBudget, size estimate) {
	if m == nil {
		return
	}
	for i, key := range m.keys {
		if key == "" {
			continue
		}
		cost := size.cost(metric(i))
		d.windows = append(d.windows, store.Window{Key: key, Limit: m.limits[i], Cost: cost})
		d.charges = append(d.charges, charge{key, metric(i), cost, m.limits[i]})
	}
	if m.slot != "" {
		d.slots = append(d.slots, store.Slot{Key: m.slot, Limit: m.parallel})
	}
}

func (d *draft) demand() store.Demand { return store.Demand{Windows: d.windows, Slots: d.slots} }
