package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// observed is what is known when a row is over and nobody asks any more.
type observed struct {
	requests []request
	faults   []time.Time // when the fault began
	records  []callback.Record
	calls    map[call]int       // what the providers were asked
	before   map[string]float64 // the service's metrics before the fault, when nothing ran
	metrics  map[string]float64 // and now
	envoy    map[string]int     // requests that Envoy has open
	leases   map[string]int64   // slots that Redis holds
	windows  map[string]window  // by deployment: what the limits count
	now      time.Time          // when they were read
	log      string             // the service's
}

// window is what the limits of a deployment count, by second.
type window struct{ requests, tokens map[int64]int64 }

// observe reads everything. An error is of a part that does not answer.
func (s *stack) observe(l *load, before map[string]float64) (o observed, err error) {
	o = observed{requests: l.requests(), faults: s.began, before: before, calls: s.good.asked(), log: s.log.String()}
	for c, n := range s.bad.asked() {
		o.calls[c] += n
	}
	if o.metrics, err = s.metrics(); err != nil {
		return o, fmt.Errorf("the service: %w", err)
	}
	if o.envoy, err = s.envoyRequests(); err != nil {
		return o, fmt.Errorf("the Envoy: %w", err)
	}
	_, o.records = s.hook.Records(s.t)
	o.leases = (&gatewaytest.Fleet{T: s.t, Redis: s.client}).Leases()
	o.now, o.windows = time.Now(), map[string]window{}
	for _, deployment := range []string{"limited-bad", "limited-good"} {
		w := window{}
		if w.requests, err = s.slices(deployment, "rpm"); err != nil {
			return o, err
		}
		if w.tokens, err = s.slices(deployment, "tpm"); err != nil {
			return o, err
		}
		o.windows[deployment] = w
	}
	return o, nil
}

// minute is how many seconds a window of the limits has.
const minute = 60

// slices are the charges of a window in Redis, by second: routing/store/scripts has its
// layout.
func (s *stack) slices(deployment, metric string) (map[int64]int64, error) {
	keys, err := s.client.Keys(s.t.Context(), "isthmus:{limits}:*:d/"+deployment+"/"+metric).Result()
	if err != nil || len(keys) == 0 {
		return nil, err // nothing is charged
	}
	fields, err := s.client.HGetAll(s.t.Context(), keys[0]).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	bySecond := map[int64]int64{}
	var last int64
	if _, err := fmt.Sscan(fields["last"], &last); err != nil {
		return bySecond, nil // nothing is charged
	}
	for second := last - minute; second <= last; second++ {
		var n int64
		if _, err := fmt.Sscan(fields[fmt.Sprint(second%64)], &n); err == nil && n != 0 {
			bySecond[second] = n
		}
	}
	return bySecond, nil
}

// lines are the last n lines of a log that hold a text; "": its last n.
func lines(log, text string, n int) string {
	var found []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return strings.Join(found[max(0, len(found)-n):], "")
}
