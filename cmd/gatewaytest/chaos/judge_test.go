package chaos

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// violation is a rule that does not hold.
type violation struct {
	rule string // which rule is broken: one line is printed of each, and how often
	what string
	tag  string // of the request that it was seen at; "": of none
}

// judge says what of a row is wrong. What may still come (a record that is on its way)
// is wrong until it has come: the caller asks again.
func judge(r *row, o *observed) []violation {
	j := &judgement{row: r, o: o, record: map[string][]*callback.Record{}}
	seen := map[string]bool{}
	for i := range o.records {
		if rec := &o.records[i]; !seen[rec.CallID] { // a webhook gets each record at least once
			seen[rec.CallID] = true
			j.record[rec.TraceID] = append(j.record[rec.TraceID], rec)
		}
	}
	for i := range o.requests {
		j.ending(&o.requests[i])
		j.recorded(&o.requests[i])
	}
	j.unknownRecords()
	j.attempts()
	j.totals()
	j.idle()
	j.limits()
	j.words()
	return j.found
}

type judgement struct {
	row    *row
	o      *observed
	record map[string][]*callback.Record // by tag
	found  []violation
}

func (j *judgement) say(tag, rule, format string, args ...any) {
	j.found = append(j.found, violation{rule, fmt.Sprintf(format, args...), tag})
}

// ending: every request is answered or fails cleanly, within its deadline.
func (j *judgement) ending(r *request) {
	took := r.ended.Sub(r.began).Round(time.Millisecond)
	switch {
	case r.how == late && !(j.row.endless && r.status == 200):
		j.say(r.tag, "a request outlives its deadline", "after %s (status %d): %v", took, r.status, r.err)
	case r.how == wrong && !(j.row.relays && r.status == 200 && r.kind.relayed()):
		j.say(r.tag, "a request is neither answered nor fails cleanly", "status %d: %v", r.status, r.err)
	case r.how == unreachable && !j.row.dark:
		j.say(r.tag, "a request has no answer, not even an error", "after %s: %v", took, r.err)
	case r.how == cut && !j.row.cuts:
		j.say(r.tag, "an answer that had begun is cut off", "after %s: %v", took, r.err)
	case r.how == left && !r.kind.leaves && !j.row.endless:
		j.say(r.tag, "an answer is endless", "after %s", took)
	case r.how != answered && r.how != left && r.how != late && r.how != wrong && (r.calm || j.row.mustAnswer(r.kind.model)):
		j.say(r.tag, "a request fails that no fault keeps from its answer", "%s after %s: %d %s", r.how, took, r.status, r.code)
	}
}

// reached reports whether a request has surely come to the service.
func (j *judgement) reached(r *request) bool { return r.id != "" }

// recorded: every request has one record, which says what the client saw.
func (j *judgement) recorded(r *request) {
	records := j.record[r.tag]
	switch {
	case len(records) > 1:
		j.say(r.tag, "a request has more than one record", "%d: %s", len(records), ids(records))
	case len(records) == 0 && !j.lost(r) && (j.reached(r) || !j.row.bypassed && !j.row.dark):
		j.say(r.tag, "a request has no record", "%s, status %d %s, id %q", r.how, r.status, r.code, r.id)
	}
	if len(records) != 1 {
		return
	}
	rec := records[0]
	// An attempt may begin while the deadline answers.
	crossed := r.status == http.StatusGatewayTimeout
	if n, err := strconv.Atoi(r.attempts); err == nil && (n > len(rec.Attempts) || n < len(rec.Attempts) && r.how != cut && !crossed) {
		j.say(r.tag, "the client is told of other attempts than the record", "%d, recorded %d", n, len(rec.Attempts))
	}
	whole := rec.Status == callback.Success && rec.Aborted == ""
	switch {
	case j.row.stands && r.status == http.StatusGatewayTimeout:
		// Envoy answered for a service that had answered, or will when it goes on.
	case r.how == answered && !whole:
		j.say(r.tag, "an answer is recorded as a failure", "%s %d, aborted %q: %s", rec.Status, rec.HTTPStatus, rec.Aborted, rec.ErrorStr)
	case (r.how == failed || r.how == cut && !r.told && !j.row.dark && !j.row.stands) && whole:
		// An Envoy that goes, or has stood still, takes the last bytes of an answer with it.
		j.say(r.tag, "a failure is recorded as an answer", "%s, status %d %s; record %d", r.how, r.status, r.code, rec.HTTPStatus)
	case (r.how == answered || r.how == failed) && rec.HTTPStatus != r.status:
		j.say(r.tag, "the record has another status than the client", "%d, the client %d %s", rec.HTTPStatus, r.status, r.code)
	}
}

func ids(records []*callback.Record) string {
	var all []string
	for _, rec := range records {
		all = append(all, rec.CallID)
	}
	return strings.Join(all, ", ")
}

// unknownRecords: no record is of a request that was not made.
func (j *judgement) unknownRecords() {
	made := map[string]bool{}
	for _, r := range j.o.requests {
		made[r.tag] = true
	}
	for tag, records := range j.record {
		if !made[tag] {
			j.say(tag, "a record is of no request", "%s", ids(records))
		}
	}
}

// attempts: what a provider was asked is an attempt that is recorded, and an attempt
// that a provider answered was made.
func (j *judgement) attempts() {
	type count struct{ made, answered int }
	recorded := map[call]count{}
	unknown := map[string]bool{} // what providers were asked for requests without a record
	for _, r := range j.o.requests {
		records := j.record[r.tag]
		unknown[r.text] = unknown[r.text] || len(records) == 0
		for _, rec := range records[:min(len(records), 1)] {
			for _, a := range rec.Attempts {
				c := recorded[call{a.Deployment, r.text}]
				c.made++
				if a.Status > 0 {
					c.answered++
				}
				recorded[call{a.Deployment, r.text}] = c
			}
		}
	}
	for c, n := range j.o.calls {
		if m := recorded[c]; n > m.made && !unknown[c.tag] {
			j.say(c.tag, "a provider was asked more often than is recorded", "%s: %d times, recorded %d", c.deployment, n, m.made)
		}
	}
	for c, m := range recorded {
		if n := j.o.calls[c]; m.answered > n {
			j.say(c.tag, "an attempt is recorded that was not made", "%s: asked %d times, %d answers recorded", c.deployment, n, m.answered)
		}
	}
}

// totals: the metrics count what the records have.
func (j *judgement) totals() {
	if j.row.anew {
		return
	}
	attempts, records := 0, 0
	for _, r := range j.o.requests {
		for _, rec := range j.record[r.tag][:min(len(j.record[r.tag]), 1)] {
			records++
			attempts += len(rec.Attempts)
		}
	}
	for name, want := range map[string]int{"isthmus_requests_total": records, "isthmus_attempts_total": attempts} {
		// What Envoy answers by itself may have come to the service without its body.
		if got := int(j.o.metrics[name]); got < want || got > want && !j.row.bypassed && !j.row.dark {
			j.say("", "a metric counts otherwise than the records", "%s: %d, the records have %d", name, got, want)
		}
	}
}

// moreGoroutines are what an idle service may have besides those it had before the
// fault: of connections that are kept, of timers.
const moreGoroutines = 20

// accessLogStreams is where Envoy counts what it tells the service its access log by:
// one stream that stays open for each of its workers.
const accessLogStreams = "cluster." + envoy.ProcessorCluster + ".upstream_rq_active"

// idle: nothing is held any more.
func (j *judgement) idle() {
	for _, name := range []string{
		"isthmus_requests_in_flight", "isthmus_deployment_in_flight", "isthmus_queue_length", "isthmus_sink_queued",
	} {
		if n := j.o.metrics[name]; n != 0 {
			j.say("", "something is held by a request that is over", "%s: %g", name, n)
		}
	}
	for key, n := range j.o.leases {
		j.say("", "something is held by a request that is over", "slots in Redis: %s: %d", key, n)
	}
	for name, n := range j.o.envoy {
		if name == accessLogStreams && n <= envoyWorkers {
			continue
		}
		j.say("", "something is held by a request that is over", "Envoy: %s: %d", name, n)
	}
	if n, before := j.o.metrics["go_goroutines"], j.o.before["go_goroutines"]; n > before+moreGoroutines {
		j.say("", "goroutines are left", "%g, before the fault %g", n, before)
	}
	for _, name := range []string{"isthmus_extproc_panics_total", "isthmus_panics_total", "isthmus_extproc_protocol_errors_total"} {
		if n := j.o.metrics[name]; n != 0 {
			j.say("", "a bug was caught", "%s: %g", name, n)
		}
	}
}

// mostEstimated is what one attempt is charged at most whose tokens nobody says.
const mostEstimated = 2 * mostTokens

// horizon is how many seconds of the windows are compared with the records: those that
// leave them while they are read are not.
const horizon = minute - 5

// mostAttempts of one request are charged to a deployment.
const mostAttempts = 3

// limits: what the limits of a deployment count is what the records say of it.
func (j *judgement) limits() {
	from := j.o.now.Unix() - horizon
	since := func(slices map[int64]int64) (n int64) {
		for second, charge := range slices {
			if second > from {
				n += charge
			}
		}
		return n
	}
	for _, deployment := range slices.Sorted(maps.Keys(j.o.windows)) {
		w := j.o.windows[deployment]
		least, most := j.charged(deployment, from)
		for _, each := range []struct {
			name            string
			got, from, upTo int64
		}{
			{"requests", since(w.requests), least.requests, most.requests},
			{"tokens", since(w.tokens), least.tokens, most.tokens},
		} {
			if each.got < each.from || each.got > each.upTo {
				j.say("", "the limits count otherwise than the records", "%s of %s in the last %d s: %d, by the records %d to %d", each.name,
					deployment,
					horizon, each.got, each.from, each.upTo)
			}
		}
	}
}

// charge is what attempts are to be charged.
type charge struct{ requests, tokens int64 }

// charged is what the records say that a deployment was charged after a second: at
// least, and at most. An attempt without an answer may have been charged or not.
func (j *judgement) charged(deployment string, after int64) (least, most charge) {
	for _, r := range j.o.requests {
		if r.kind.model == "limited" && r.ended.Unix() > after && j.lost(&r) { // estimates stand for what it used
			most.requests += mostAttempts
			most.tokens += mostAttempts * mostEstimated
		}
		for _, rec := range j.record[r.tag][:min(len(j.record[r.tag]), 1)] {
			if rec.EndTime.Unix() <= after {
				continue
			}
			for _, a := range rec.Attempts {
				if a.Deployment != deployment {
					continue
				}
				sure, used := a.Status > 0 && rec.StartTime.Unix() > after+1, int64(0)
				if a == rec.Attempts[len(rec.Attempts)-1] && rec.ModelID == deployment {
					used = rec.TotalTokens
				}
				if sure {
					least.requests++
				}
				if sure && !rec.TokensEstimated {
					least.tokens += used
				}
				most.requests++
				most.tokens += used
				if a.Status == 0 || rec.TokensEstimated { // the limits may have another estimate
					most.tokens += mostEstimated
				}
			}
		}
	}
	return least, most
}

// sendTime is within what the service tells of a request that is over: the webhook of its
// record, Redis of what it used.
const sendTime = 2 * time.Second

// lost reports whether what the service knew of a request may have ended with it.
func (j *judgement) lost(r *request) bool {
	return j.row.loses && slices.ContainsFunc(j.o.faults, func(at time.Time) bool {
		return r.began.Before(at.Add(sendTime)) && r.ended.After(at.Add(-sendTime))
	})
}

// words: the log has no panic and no data race.
func (j *judgement) words() {
	for _, bad := range []string{"panic:", "DATA RACE", "fatal error:"} {
		if at := strings.Index(j.o.log, bad); at >= 0 {
			j.say("", "a bug is in the log", "%s", j.o.log[at:min(len(j.o.log), at+2000)])
		}
	}
}
