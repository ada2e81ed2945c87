package cli

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
)

// openRequests is a snapshot under which this many requests run.
type openRequests struct{ n atomic.Int64 }

func (o *openRequests) Open() int64 { return o.n.Load() }

// retired is a replaced configuration with one publisher, one resource of its own and
// one that the next configuration has too.
type retired struct {
	service                       *service
	config                        *activeConfig
	next                          *resources
	requests                      openRequests
	published, own, shared, ended atomic.Int32 // how often each was stopped, closed, called
}

func newRetired() *retired {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	r := &retired{
		service: &service{
			runtime: extproc.NewRuntime(metrics.New(prometheus.NewRegistry(), ""), log), ending: make(chan struct{}),
		},
		next: &resources{},
	}
	built := &resources{}
	built.addPublisher(func() { r.published.Add(1) })
	built.retain(newRefCounted(func(context.Context) { r.own.Add(1) }))
	r.next.retain(built.retain(newRefCounted(func(context.Context) { r.shared.Add(1) })))
	r.config = &activeConfig{loaded: &loaded{}, resources: built, snapshot: &r.requests}
	return r
}

// state is what was stopped and closed so far.
func (r *retired) state() [4]int32 {
	return [4]int32{r.published.Load(), r.own.Load(), r.shared.Load(), r.ended.Load()}
}

func (r *retired) retire() {
	r.service.retire(r.config, func(context.Context) { r.ended.Add(1) })
	synctest.Wait()
}

func (r *retired) wants(t *testing.T, when string, want [4]int32) {
	t.Helper()
	synctest.Wait()
	if got := r.state(); got != want {
		t.Errorf("%s: publisher stopped, own closed, shared closed, caller told = %v, want %v", when, got, want)
	}
}

func TestAReplacedConfigurationIsClosedAfterItsLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetired()
		r.requests.n.Store(1)
		r.retire()
		r.wants(t, "at once", [4]int32{1, 0, 0, 0})
		time.Sleep(10 * retirePoll)
		r.wants(t, "while a request runs", [4]int32{1, 0, 0, 0})
		r.requests.n.Store(0)
		time.Sleep(retirePoll)
		r.wants(t, "after its last request", [4]int32{2, 1, 0, 1})
		r.next.close(t.Context())
		r.wants(t, "after the next one is closed", [4]int32{2, 1, 1, 1})
	})
}

func TestAReplacedConfigurationWithoutRequestsIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetired()
		r.retire()
		r.wants(t, "at once", [4]int32{1, 0, 0, 0})
		time.Sleep(retirePoll)
		r.wants(t, "a moment later", [4]int32{2, 1, 0, 1})
	})
}

func TestTheEndOfTheServiceClosesReplacedConfigurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetired()
		r.requests.n.Store(1)
		r.retire()
		close(r.service.ending)
		r.service.retiring.Wait()
		r.wants(t, "at the service's end", [4]int32{2, 1, 0, 1})
	})
}
