package metrics

import (
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// state is the collector of what others keep count of.
type state struct {
	sources     atomic.Pointer[Sources]
	build       prometheus.Metric
	gateway     gatewayReadings
	deployments deploymentReadings
	cache       cacheReadings
	queue       queueReadings
	skipped     reading
	sinks       sinkReadings
}

type gatewayReadings struct{ open, draining, leftOut, reloads, loaded, current, restarts reading }

type deploymentReadings struct {
	inFlight, cooldowns, cooling, used, limit reading
	state, cooled                             reading // litellm_*
}

type cacheReadings struct {
	lookups, errors, stores, drops, unstorable, storedBytes, waiting, held reading
}

type queueReadings struct{ length, capacity reading }

type sinkReadings struct{ sent, retried, dropped, spilled, queued, queuedBytes, diskBytes reading }

func newState(k *maker, version string) *state {
	build := k.gaugeReading("isthmus_build_info", "Always 1: which isthmus this is.", "version", "go_version")
	s := &state{build: prometheus.MustNewConstMetric(build.desc, build.kind, 1, version, runtime.Version())}
	s.sources.Store(&Sources{})
	s.gateway = gatewayReadings{
		open:     k.gaugeReading("isthmus_requests_in_flight", "Requests that have not ended."),
		draining: k.gaugeReading("isthmus_draining", "1 from the signal to the end: not ready, and after a while new requests are refused."),
		leftOut:  k.gaugeReading("isthmus_deployments_left_out", "Deployments of the configuration that cannot be served, for want of a key."),
		reloads: k.counterReading("isthmus_config_reloads_total",
			"Changed configurations. outcome: good, or refused, after which the old one stays.", "outcome"),
		loaded: k.gaugeReading("isthmus_config_loaded_timestamp_seconds", "When the configuration in force was loaded."),
		current: k.gaugeReading("isthmus_config_current", "0 while the configuration in force is not the last that came, for that one "+
			"cannot be used."),
		restarts: k.counterReading("isthmus_envoy_restarts_total",
			"Times that the Envoy of isthmus run ended by itself, or could not be started again."),
	}
	s.deployments = newDeploymentReadings(k)
	s.cache = newCacheReadings(k)
	s.queue = queueReadings{
		length:   k.gaugeReading("isthmus_queue_length", "Requests that wait for a slot."),
		capacity: k.gaugeReading("isthmus_queue_capacity", "Requests that may wait."),
	}
	s.skipped = k.counterReading("isthmus_store_skipped_values_total",
		"Values in Redis that were skipped: another version or program wrote them. kind: window, slot, epoch, replica, cooldown, "+
			"address or blob.", "kind")
	s.sinks = sinkReadings{
		sent:        k.counterReading("isthmus_sink_sent_total", "Records that a callback took.", "sink"),
		retried:     k.counterReading("isthmus_sink_retried_total", "Records sent again.", "sink"),
		dropped:     k.counterReading("isthmus_sink_dropped_total", "Records lost: refused for good, or the queue was full.", "sink"),
		spilled:     k.counterReading("isthmus_sink_spilled_total", "Records put on disk for want of room.", "sink"),
		queued:      k.gaugeReading("isthmus_sink_queued", "Records in memory, not yet taken.", "sink"),
		queuedBytes: k.gaugeReading("isthmus_sink_queued_bytes", "Their size.", "sink"),
		diskBytes:   k.gaugeReading("isthmus_sink_disk_bytes", "Size of the records on disk.", "sink"),
	}
	return s
}

func newDeploymentReadings(k *maker) deploymentReadings {
	own, named := []string{"model_group", "deployment", "provider"}, []string{"litellm_model_name", "model_id", "api_provider"}
	return deploymentReadings{
		inFlight:  k.gaugeReading("isthmus_deployment_in_flight", "Attempts that run.", own...),
		cooldowns: k.counterReading("isthmus_cooldowns_total", "Cooldowns begun.", own...),
		cooling:   k.gaugeReading("isthmus_deployment_cooldown_seconds", "How long the cooldown still lasts; 0: none.", own...),
		used:      k.gaugeReading("isthmus_deployment_minute_used", "Use in the last 60 s. kind: requests or tokens.", append(own, "kind")...),
		limit: k.gaugeReading("isthmus_deployment_minute_limit", "rpm and tpm, where configured. kind: requests or tokens.",
			append(own, "kind")...),
		state:  k.gaugeReading("litellm_deployment_state", "0: healthy, 1: one request tries it, 2: cooling down.", named...),
		cooled: k.counterReading("litellm_deployment_cooled_down_total", "Cooldowns begun.", named...),
	}
}

func newCacheReadings(k *maker) cacheReadings {
	return cacheReadings{
		lookups: k.counterReading("isthmus_cache_lookups_total",
			"Requests by what the cache did: hit, shared (the answer of an identical request that ran), miss, bypass.", "result"),
		errors: k.counterReading("isthmus_cache_errors_total", "What went wrong in the cache's store. kind: lookup, corrupt or store.",
			"kind"),
		stores:      k.counterReading("isthmus_cache_stores_total", "Answers stored."),
		drops:       k.counterReading("isthmus_cache_drops_total", "Answers not stored: the queue was full, or they were too large."),
		unstorable:  k.counterReading("isthmus_cache_unstorable_total", "Answers that were no good for others."),
		storedBytes: k.counterReading("isthmus_cache_stored_bytes_total", "Bytes stored."),
		waiting:     k.gaugeReading("isthmus_cache_waiting", "Requests that wait for an identical one."),
		held:        k.gaugeReading("isthmus_cache_local_bytes", "Bytes that the local cache holds."),
	}
}

func (s *state) watch(n Sources) {
	next := *s.sources.Load()
	if n.Gateway != nil {
		next.Gateway = n.Gateway
	}
	if n.Deployments != nil {
		next.Deployments = n.Deployments
	}
	if n.Cache != nil {
		next.Cache = n.Cache
	}
	if n.Queue != nil {
		next.Queue = n.Queue
	}
	if n.Store != nil {
		next.Store = n.Store
	}
	if n.Sinks != nil {
		next.Sinks = n.Sinks
	}
	s.sources.Store(&next)
}

// Describe says nothing: which metrics there are depends on the sources, and
// their names are this package's own.
func (s *state) Describe(chan<- *prometheus.Desc) {}
