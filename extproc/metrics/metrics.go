package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the instruments of the request path. Safe for concurrent use.
type Metrics struct {
	own      own
	genAI    genAI
	litellm  litellm
	attempts attempts
	streams  streams
	state    *state

	ended table[requestKey, requestSeries]
	tried table[attemptKey, attemptSeries]

	definitions []Definition
}

// New makes the instruments and registers them. version is the program's.
func New(registerer prometheus.Registerer, version string) *Metrics {
	k := &maker{registerer: registerer}
	m := &Metrics{
		own: newOwn(k), genAI: newGenAI(k), litellm: newLiteLLM(k), attempts: newAttempts(k), streams: newStreams(k), state: newState(k, version),
	}
	registerer.MustRegister(m.state)
	m.ended.build = func(k requestKey) *requestSeries {
		return &requestSeries{own: m.own.series(k), genAI: m.genAI.series(k), litellm: m.litellm.series(k)}
	}
	m.tried.build = m.attempts.series
	m.definitions = k.made
	slices.SortFunc(m.definitions, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return m
}

// Watch tells where the moment's state can be asked. Fields that are nil leave
// what was said before. It is called at the start.
func (m *Metrics) Watch(s Sources) { m.state.watch(s) }

// Definitions returns every metric there is, sorted by name. It must not be
// changed.
func (m *Metrics) Definitions() []Definition { return m.definitions }
