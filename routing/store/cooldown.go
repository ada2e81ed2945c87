package store

import "time"

// Cooldown is one deployment at rest.
type Cooldown struct {
	Deployment string
	Until      time.Time
	Cause      string // short, for the health report
}
