package store

import "time"

// Cooldown is one deployment that is cooling down.
type Cooldown struct {
	Deployment string
	Until      time.Time
	Cause      string // short, for the health report
}
