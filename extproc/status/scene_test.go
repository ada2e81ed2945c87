package status

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// scene is a gateway that has been busy for five minutes: the same one at every
// run, but for the time of day.
type scene struct {
	world
	random *rand.Rand
}

// sort of model that a scene has.
type sort struct {
	group, provider, model string
	rpm, tpm               int64
	wait                   float64 // milliseconds
	busy                   float64 // attempts per slice
}

func sorts() []sort {
	return []sort{
		{"gpt-5", "openai", "gpt-5", 500, 2_000_000, 640, 9},
		{"gpt-5", "azure", "gpt-5-eastus", 300, 1_000_000, 710, 7},
		{"gpt-5", "azure", "gpt-5-sweden", 300, 1_000_000, 580, 8},
		{"claude-sonnet", "anthropic", "claude-sonnet-4-5", 400, 800_000, 890, 6},
		{"claude-sonnet", "anthropic", "claude-sonnet-4-5", 0, 400_000, 930, 5},
		{"gemini-flash", "gemini", "gemini-2.5-flash", 1000, 0, 310, 11},
		{"local", "ollama", "qwen3:32b", 0, 0, 190, 3},
		{"local", "ollama", "qwen3:32b", 0, 0, 230, 2},
		{"embeddings", "openai", "text-embedding-3-small", 3000, 5_000_000, 84, 14},
	}
}

// newScene makes a scene with so many deployments; 0 is those of sorts.
func newScene(deployments int) *scene {
	s := &scene{random: rand.New(rand.NewPCG(7, 11))}
	s.at = time.Now()
	now := func() time.Time { return s.at }
	s.history = NewHistory(now)
	s.snapshot = Snapshot{
		Gateway: Gateway{Version: "v0.9.0", Envoy: "1.40.0", Strategy: "latency-based",
			Started: s.at.Add(-51*time.Hour - 12*time.Minute).UnixMilli(), Open: 23},
		Cache: &Cache{Hits: 18_422, Shared: 310, Misses: 41_207, Stores: 40_911, Drops: 0, Waiting: 1, Bytes: 87 << 20},
		Queue: &Queue{Waiting: 2, Room: 100},
		Limits: []Limit{
			{"all", "", "running", 23, 100}, {"group", "gpt-5", "tokens/min", 1_204_000, 3_000_000},
			{"caller", "team-search", "requests/min", 212, 300}, {"caller", "team-search", "tokens/min", 148_900, 200_000},
			{"caller", "team-agents", "requests/min", 120, 120},
		},
		Sinks:      []Sink{{Name: "langfuse", Sent: 59_604, Retried: 12, Queued: 38}, {Name: "webhook https", Sent: 59_642, Dropped: 3}},
		LeftOut:    []LeftOut{{"mistral-large", "$MISTRAL_API_KEY is not set"}},
		Unenforced: []string{"allowed_ips"},
		Names: []Name{
			{Name: "chat", Alias: true, Stages: []Stage{{Group: "gpt-5"}, {Group: "claude-sonnet"}, {Group: "local"}}},
			{Name: "claude-sonnet", Order: 1, Stages: []Stage{{Group: "claude-sonnet"}, {Group: "gpt-5", Fallback: true}}},
			{Name: "fast", Order: 2, Alias: true, Stages: []Stage{{Group: "gemini-flash"}, {Group: "local", Fallback: true}}},
		},
	}
	s.deploy(max(deployments, len(sorts())))
	s.board = NewBoard(func() Snapshot { return s.snapshot }, s.history, now)
	end := s.at
	for n := trailLength; n > 0; n-- {
		s.at = end.Add(time.Duration(-n) * trailSlice)
		s.run(n)
	}
	s.at = end
	return s
}

func (s *scene) deploy(n int) {
	var ids []string
	for i := range n {
		k := sorts()[i%len(sorts())]
		d := Deployment{ID: fmt.Sprintf("%08x", 0x9e3779b9*uint32(i+3)), Order: i, Group: k.group, Provider: k.provider, Model: k.model,
			State: "healthy", RPM: k.rpm, TPM: k.tpm}
		if i >= len(sorts()) {
			d.Group = fmt.Sprintf("%s-%d", k.group, i/27)
		}
		d.InFlight = int64(k.busy * s.random.Float64())
		d.Requests = int64(12 * k.busy)
		d.Tokens = d.Requests * int64(900+s.random.IntN(600))
		ids = append(ids, d.ID)
		if k.provider == "anthropic" && k.rpm > 0 {
			d.TPM, d.ITPM, d.OTPM, d.MaxParallel = 0, 400_000, 80_000, 8
			d.Output, d.Running = d.Tokens/5, d.InFlight
			d.Input = d.Tokens - d.Output
		}
		switch i % 40 {
		case 1:
			d.State, d.Cause, d.Until, d.Failures, d.InFlight = "cooling", "429 rate_limit_exceeded", s.at.Add(47*time.Second).UnixMilli(), 9, 0
			d.Requests, d.Tokens = 300, 991_400
		case 4:
			d.State, d.Cause, d.Until, d.InFlight, d.Failures = "probing", "529 overloaded_error", s.at.Add(-time.Second).UnixMilli(), 1, 4
		}
		s.snapshot.Deployments = append(s.snapshot.Deployments, d)
	}
	s.history.Track(ids)
}

// run is one slice of time, n slices before the end: what happens in it, in the
// order of chance.
func (s *scene) run(n int) {
	var all []func()
	for i := range s.snapshot.Deployments {
		d, k := &s.snapshot.Deployments[i], sorts()[i%len(sorts())]
		troubled := d.State != "healthy" && n < 7
		for range int(k.busy * (.4 + s.random.Float64())) {
			wave := 1 + .25*float64((n/4+i)%5)/4
			a := Attempt{Deployment: d.ID, Group: d.Group, Status: 200, FirstByte: k.wait * wave * (.7 + .5*s.random.Float64())}
			a.Took = a.FirstByte * (1.5 + 2*s.random.Float64())
			if troubled || s.random.IntN(600) == 0 {
				all = append(all, func() { s.fail(d, a) })
				continue
			}
			all = append(all, func() { s.end(d, Request{Attempts: []Attempt{a}}) })
		}
	}
	s.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	began := s.at
	for i, happen := range all {
		s.at = began.Add(trailSlice * time.Duration(i) / time.Duration(len(all)))
		happen()
	}
}

// fail has another deployment answer after one that failed.
func (s *scene) fail(d *Deployment, a Attempt) {
	a.Status, a.Failed, a.Reason, a.FirstByte, a.Took = 429, true, "429 rate_limit_exceeded", 0, 60+60*s.random.Float64()
	if d.State != "cooling" {
		a.Status, a.Reason, a.Took = 0, "refused or reset", 4
	}
	next := s.snapshot.Deployments[s.random.IntN(3)*3/2]
	b := Attempt{Deployment: next.ID, Group: next.Group, Status: 200, After: a.Took + 12, FirstByte: 500 + 300*s.random.Float64()}
	b.Took = b.FirstByte * 2.4
	s.end(&next, Request{Attempts: []Attempt{a, b}})
}

func (s *scene) end(d *Deployment, r Request) {
	last := r.Attempts[len(r.Attempts)-1]
	r.ID, r.Endpoint, r.Model, r.Status, r.Stream = fmt.Sprintf("%016X", s.random.Uint64()), "chat/completions", r.Attempts[0].Group, 200,
		s.random.IntN(3) > 0
	r.Deployment, r.Group, r.Cache = d.ID, d.Group, "miss"
	r.Prompt, r.Completion, r.Counted = int64(80+s.random.IntN(2400)), int64(20+s.random.IntN(700)), true
	r.FirstByte, r.Took = last.After+last.FirstByte+2, last.After+last.Took+3
	switch s.random.IntN(24) {
	case 0, 1, 2:
		r.Cache, r.Attempts, r.FirstByte, r.Took = "hit", nil, 1.4, 1.9
	case 3:
		r.Status, r.Error, r.Counted, r.Cache = 400, "context_length_exceeded", false, ""
		r.Attempts[0].Status, r.Attempts[0].Failed, r.Attempts[0].Reason = 400, true, "400 context_length_exceeded"
	case 4:
		r.Aborted, r.Completion = true, 31
	}
	s.history.Add(r)
}
