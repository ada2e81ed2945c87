package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Definition is one metric of the page.
type Definition struct {
	Name   string
	Kind   string // counter, gauge or histogram
	Help   string
	Labels []string
}

// maker makes the instruments and remembers what it made.
type maker struct {
	registerer prometheus.Registerer
	made       []Definition
}

func (m *maker) note(kind, name, help string, labels []string) {
	m.made = append(m.made, Definition{Name: name, Kind: kind, Help: help, Labels: slices.Clone(labels)})
}

func (m *maker) counter(name, help string, labels ...string) *prometheus.CounterVec {
	m.note("counter", name, help, labels)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registerer.MustRegister(c)
	return c
}

func (m *maker) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.note("histogram", name, help, labels)
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registerer.MustRegister(h)
	return h
}

// reading is a metric whose value is asked for at each scrape.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func (m *maker) gaugeReading(name, help string, labels ...string) reading {
	m.note("gauge", name, help, labels)
	return reading{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func (m *maker) counterReading(name, help string, labels ...string) reading {
	m.note("counter", name, help, labels)
	return reading{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// Buckets, in seconds unless said otherwise. Those of the gen_ai_* metrics are
// the ones the conventions advise.
func durationBuckets() []float64 {
	return []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84}
}

func firstTokenBuckets() []float64 {
	return []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30}
}

func perTokenBuckets() []float64 {
	return []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
}

// tokenBuckets are counts.
func tokenBuckets() []float64 {
	return []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
}

func ownBuckets() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1}
}
