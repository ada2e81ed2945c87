package metrics

import "time"

// Sources are asked at each scrape, by several scrapes at once if need be; each
// answers quickly and from memory. A source that is nil has no lines on the
// page.
type Sources struct {
	Gateway     func() Gateway
	Deployments func() []Deployment
	Cache       func() Cache
	Queue       func() Queue
	Store       func() Store
	Sinks       func() []Sink
}

// Gateway is the service as a whole.
type Gateway struct {
	Open     int64 // requests that have not ended
	Draining bool
	LeftOut  int // deployments of the configuration that cannot be served

	Reloads, Refused int64     // changed configurations that were put in force, and that could not be used
	Loaded           time.Time // since when the one in force is
	Outdated         bool      // a later one could not be used

	EnvoyRestarts int64 // of the Envoy that this process runs
}

// Deployment is what one deployment is doing.
type Deployment struct {
	Group, ID, Provider, Model string

	InFlight  int64
	Cooldowns int64 // begun since the configuration was loaded
	State     DeploymentState
	Cooling   time.Duration // that the cooldown still lasts

	Requests, Tokens int64 // of the last minute
	RPM, TPM         int64 // limits; 0: none
}

// DeploymentState is a deployment's health, in the numbers that LiteLLM gives it.
type DeploymentState int

// The states of a deployment.
const (
	Healthy DeploymentState = iota
	Probing                 // half open: one request tries it
	Cooling
)

// Cache is what the response cache has done.
type Cache struct {
	Hits, Misses, Shared, Bypasses       int64
	LookupErrors, Corrupt, StoreErrors   int64
	Stores, Drops, Unstorable            int64
	StoredBytes, Waiting, LocalBytesHeld int64
}

// Queue is where requests wait for a slot.
type Queue struct{ Length, Capacity int }

// Store is the Redis that replicas share.
type Store struct {
	Skipped map[string]int64 // values that were skipped since this version cannot read them, by kind
}

// Sink is one callback's queue.
type Sink struct {
	Name                            string // of the configuration
	Sent, Retried, Dropped, Spilled int64
	Queued, QueuedBytes, DiskBytes  int64
}
