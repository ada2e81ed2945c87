package main

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	fleet   = 100    // deployments
	rate    = 2000.0 // requests per second, arriving at random
	seed    = 2026
	minute  = time.Minute
	quarter = 4 // one deployment in so many becomes slow for a while
)

// machine is one made-up deployment.
type machine struct {
	firstToken float64 // seconds
	perToken   float64 // seconds
	capacity   float64 // requests at once that it serves at full speed
	tpm        int64
	price      float64 // per million tokens

	slowFrom, slowTo time.Duration // it takes four times as long then

	running float64
	spent   []int64 // tokens per minute of the run
}

// machines makes the fleet: the same in every run. Sizes are 1.25 on average, so
// together the quotas are a quarter more than the requests need.
func machines(span time.Duration) []machine {
	dice := rand.New(rand.NewPCG(seed, 1))
	out := make([]machine, fleet)
	for i := range out {
		size := 0.5 + 1.5*dice.Float64()
		speed := math.Exp(0.4 * dice.NormFloat64())
		m := machine{firstToken: 0.3 * speed, perToken: 0.008 * speed, capacity: 160 * size, price: 1 + 9*dice.Float64()}
		m.tpm = int64(size * rate * meanTokens * 60 / fleet)
		if i%quarter == 0 {
			m.slowFrom = time.Duration(dice.Float64() * 0.7 * float64(span))
			m.slowTo = m.slowFrom + span/8
		}
		m.spent = make([]int64, span/minute+10)
		out[i] = m
	}
	return out
}

// meanTokens is what a request takes on average: a prompt of 300 and an answer
// of 200.
const meanTokens = 500

// latency is how long a request takes that begins now, when so many others run.
func (m *machine) latency(now time.Duration, tokens, noise float64) time.Duration {
	s := (m.firstToken + m.perToken*tokens) * noise
	if m.running > m.capacity {
		s *= m.running / m.capacity
	}
	if now >= m.slowFrom && now < m.slowTo {
		s *= 4
	}
	return time.Duration(s * float64(time.Second))
}

// ending is a request that will end.
type ending struct {
	at, began time.Duration
	hop       *routing.Hop
	machine   int
	tokens    int64 // of the answer
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// result is what one strategy made of the requests.
type result struct {
	strategy  string
	latencies []float64 // seconds, sorted
	overshoot float64   // share of the tokens beyond a deployment's quota of their minute
	cost      float64   // per million tokens
}

// percentile is the latency that a share of the requests kept below.
func (r *result) percentile(share float64) float64 {
	return r.latencies[min(int(share*float64(len(r.latencies))), len(r.latencies)-1)]
}

// limited is the one strategy that would be of no use without limits: it sends
// everything to the cheapest deployment.
const limited = "cost-based"

// strategies are those compared.
func strategies() []string {
	return []string{"simple-shuffle", "least-busy", "latency-based", "usage-based", limited}
}

// compare runs n requests under each strategy.
func compare(n int) ([]*result, error) {
	results := make([]*result, len(strategies()))
	failures := make([]error, len(results))
	var wg sync.WaitGroup
	for i, strategy := range strategies() {
		wg.Go(func() { results[i], failures[i] = simulate(strategy, n) })
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// simulation is one run.
type simulation struct {
	router   *routing.Router
	machines []machine
	index    map[string]int
	request  *chat.Request
	dice     *rand.Rand // of the world; the router has its own
	now      time.Duration
	open     endings
	result   *result
}

// epoch is when the simulated time begins.
func epoch() time.Time { return time.Unix(1_800_000_000, 0) }

func simulate(strategy string, n int) (*result, error) {
	span := time.Duration(float64(n) / rate * float64(time.Second))
	s := &simulation{machines: machines(span), index: map[string]int{}, dice: rand.New(rand.NewPCG(seed, 2)),
		result: &result{strategy: strategy}}
	if err := s.build(strategy); err != nil {
		return nil, err
	}
	for range n {
		gap := time.Duration(s.dice.ExpFloat64() / rate * float64(time.Second))
		s.endUntil(s.now + gap)
		s.now += gap
		if err := s.begin(); err != nil {
			return nil, fmt.Errorf("%s: %w", strategy, err)
		}
	}
	s.endUntil(math.MaxInt64)
	s.finish()
	return s.result, nil
}

// build makes the router of the fleet.
func (s *simulation) build(strategy string) error {
	var text strings.Builder
	text.WriteString("model_list:\n")
	for i, m := range s.machines {
		id := fmt.Sprintf("d%02d", i)
		s.index[id] = i
		fmt.Fprintf(&text,
			"- model_name: m\n  litellm_params: {model: openai/up, api_key: k, tpm: %d, input_cost_per_token: %g, output_cost_per_token: %g}\n  "+
				"model_info: {id: %s}\n",
			m.tpm, m.price/1e6, m.price/1e6, id)
	}
	fmt.Fprintf(&text, "router_settings: {routing_strategy: %s, num_retries: 0}\n", strategy)
	c, _, err := config.Parse("fleet", []byte(text.String()), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		return err
	}
	dice := rand.New(rand.NewPCG(seed, 3))
	options := routing.Options{Now: func() time.Time { return epoch().Add(s.now) }, Float: dice.Float64}
	if strategy == limited {
		options.Limits = s
	}
	s.router, err = routing.New(c, options)
	if err != nil {
		return err
	}
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("word ", 240) + `"}]}`
	s.request, err = chat.Parse(chat.Completions, []byte(body), "")
	return err
}

// Wait is a limiter of the deployments' tpm: it keeps the sum of the last minute
// and of what runs below the quota.
func (s *simulation) Wait(id string, _ int64) time.Duration {
	i := s.index[id]
	m := &s.machines[i]
	used := s.router.State(s.router.Deployments()[i]).Used
	if float64(used.Tokens)+(m.running+1)*meanTokens > float64(m.tpm) {
		return time.Second
	}
	return 0
}

// Reached tells nothing: no client reads it.
func (s *simulation) Reached([]string, int64) []limit.Reached { return nil }

// RateLimits tells nothing: no client reads it.
func (s *simulation) RateLimits(string) upstream.Header { return nil }

// begin sends one request to whom the router chooses.
func (s *simulation) begin() error {
	p, err := s.router.Plan(&routing.Call{Request: s.request})
	if err != nil {
		return err
	}
	hop := &p.Hops[0]
	i := s.index[hop.Deployment.ID]
	m := &s.machines[i]
	s.router.Begin(hop)
	m.running++
	tokens := 1 + s.dice.ExpFloat64()*199
	took := m.latency(s.now, tokens, math.Exp(0.2*s.dice.NormFloat64()))
	heap.Push(&s.open, ending{s.now + took, s.now, hop, i, int64(tokens)})
	return nil
}

// promptTokens is the length of each prompt.
const promptTokens = 300

// endUntil ends the requests whose time has come.
func (s *simulation) endUntil(now time.Duration) {
	for len(s.open) > 0 && s.open[0].at <= now {
		e := heap.Pop(&s.open).(ending)
		s.now = e.at
		took := e.at - e.began
		s.router.Answered(e.hop, took)
		s.router.Done(e.hop, routing.Outcome{Status: 200, Total: took, Prompt: promptTokens, Completion: e.tokens})
		m := &s.machines[e.machine]
		m.running--
		m.spent[min(int(e.at/minute), len(m.spent)-1)] += promptTokens + e.tokens
		s.result.latencies = append(s.result.latencies, took.Seconds())
	}
}

// finish sums up.
func (s *simulation) finish() {
	var all, beyond, cost float64
	for i := range s.machines {
		m := &s.machines[i]
		for _, spent := range m.spent {
			all += float64(spent)
			beyond += float64(max(spent-m.tpm, 0))
			cost += float64(spent) * m.price
		}
	}
	s.result.overshoot, s.result.cost = beyond/all, cost/all
	slices.Sort(s.result.latencies)
}
