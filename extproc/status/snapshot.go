package status

import "time"

// Snapshot is what the gateway is at one moment, but for what [History] knows.
type Snapshot struct {
	Gateway     Gateway
	Deployments []Deployment
	Names       []Name
	LeftOut     []LeftOut
	Unenforced  []string // restrictions of the configuration that isthmus does not enforce
	Cache       *Cache   // nil: there is none
	Queue       *Queue   // nil: there is none
	Limits      []Limit
	Sinks       []Sink
}

// Gateway is the process as a whole.
type Gateway struct {
	Version  string `json:"version"`
	Envoy    string `json:"envoy,omitzero"` // version, "": unknown
	Strategy string `json:"strategy,omitzero"`
	Started  int64  `json:"started"` // Unix milliseconds
	Open     int64  `json:"open"`    // requests that have not ended
	Draining bool   `json:"draining"`
}

// Deployment is what a deployment is doing. What it was used for is that of the
// last minute.
type Deployment struct {
	ID       string   `json:"id"`
	Order    int      `json:"order"` // its place in the configuration
	Group    string   `json:"group"`
	Provider string   `json:"provider"`
	Model    string   `json:"model"`
	Tags     []string `json:"tags,omitempty"`

	State    string `json:"state"`          // healthy, cooling or probing
	Until    int64  `json:"until,omitzero"` // end of the cooldown, Unix milliseconds
	Cause    string `json:"cause,omitzero"` // the failure that began it
	InFlight int64  `json:"in_flight"`

	Requests int64 `json:"requests"`
	Tokens   int64 `json:"tokens"`
	Failures int64 `json:"failures"`
	RPM      int64 `json:"rpm,omitzero"` // 0: no limit
	TPM      int64 `json:"tpm,omitzero"`

	// Limits that few have, and their use over all replicas; 0: no limit.
	ITPM        int64 `json:"itpm,omitzero"` // tokens of prompts
	Input       int64 `json:"input,omitzero"`
	OTPM        int64 `json:"otpm,omitzero"` // tokens of answers
	Output      int64 `json:"output,omitzero"`
	MaxParallel int64 `json:"max_parallel,omitzero"`
	Running     int64 `json:"running,omitzero"`
}

// Name is a name that clients may ask for and that more than one model group may
// answer.
type Name struct {
	Name   string  `json:"name"`
	Order  int     `json:"order"`
	Alias  bool    `json:"alias"`
	Stages []Stage `json:"stages"` // tried one after the other
}

// Stage is one step of a cascade.
type Stage struct {
	Group    string `json:"group"`
	Model    string `json:"model,omitzero"` // asked for instead of the deployments' own
	Fallback bool   `json:"fallback"`       // only when what the name itself stands for has failed
}

// LeftOut is a deployment of the configuration that is not served.
type LeftOut struct {
	Group  string `json:"group"`
	Reason string `json:"reason"`
}

// Cache is what the response cache has done since it was made.
type Cache struct {
	Hits    int64 `json:"hits"`   // stored answers
	Shared  int64 `json:"shared"` // answers of an identical request that ran
	Misses  int64 `json:"misses"`
	Stores  int64 `json:"stores"`
	Errors  int64 `json:"errors"`  // of the store
	Drops   int64 `json:"drops"`   // answers not stored for want of room
	Waiting int64 `json:"waiting"` // requests that wait for an identical one now
	Bytes   int64 `json:"bytes"`   // held in this process
}

// Queue is the requests that wait for room in a limit.
type Queue struct {
	Waiting int64 `json:"waiting"`
	Room    int64 `json:"room,omitzero"` // how many may; 0: unknown
}

// Limit is one limit and how much of it is used.
type Limit struct {
	Of    string `json:"of"`   // all, group or caller
	Name  string `json:"name"` // of the model group or the caller
	Unit  string `json:"unit"` // such as "requests/min"
	Used  int64  `json:"used"`
	Limit int64  `json:"limit"`
}

// Sink is the queue before a callback.
type Sink struct {
	Name    string `json:"name"`
	Sent    int64  `json:"sent"`
	Retried int64  `json:"retried"`
	Dropped int64  `json:"dropped"`
	Queued  int64  `json:"queued"`
	Spilled int64  `json:"spilled"` // bytes on disk now
}

// Request is a request that has ended.
type Request struct {
	ID         string `json:"id"`
	Ended      int64  `json:"ended"` // Unix milliseconds
	Endpoint   string `json:"endpoint"`
	Model      string `json:"model"`  // asked for
	Status     int    `json:"status"` // 0: the client left before any answer
	Deployment string `json:"deployment,omitzero"`
	Group      string `json:"group,omitzero"`
	Stream     bool   `json:"stream"`
	Aborted    bool   `json:"aborted"` // not read to its end
	Error      string `json:"error,omitzero"`
	Cache      string `json:"cache,omitzero"`

	Prompt     int64   `json:"prompt"` // tokens
	Completion int64   `json:"completion"`
	Counted    bool    `json:"counted"` // the tokens are known
	FirstByte  float64 `json:"first_byte,omitzero"`
	Took       float64 `json:"took"` // milliseconds, as FirstByte

	Attempts []Attempt `json:"attempts,omitempty"`
}

// Attempt is one attempt of a request. Its times are milliseconds.
type Attempt struct {
	Deployment string  `json:"deployment"`
	Group      string  `json:"group"`
	Status     int     `json:"status"` // 0: no answer came
	Failed     bool    `json:"failed"`
	Reason     string  `json:"reason,omitzero"`
	After      float64 `json:"after"` // since the request came
	FirstByte  float64 `json:"first_byte,omitzero"`
	Took       float64 `json:"took"`
}

// Milliseconds is a duration as the page has it; it keeps microseconds.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
