package envoy

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is an Envoy release line, by its minor number: 40 is 1.40.
type Version int

// The release lines that are told apart.
const (
	Oldest  Version = 36
	Default Version = 40
)

// ParseVersion reads "1.40" or "1.40.0".
func ParseVersion(s string) (Version, error) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(s, "v"), "1.")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	if !ok || err != nil {
		return 0, fmt.Errorf("%q is no Envoy version; say it as 1.40", s)
	}
	if Version(n) < Oldest {
		return 0, fmt.Errorf("Envoy %s is too old: isthmus needs 1.%d or later", s, Oldest)
	}
	return Version(n), nil
}

func (v Version) String() string { return "1." + strconv.Itoa(int(v)) }

// PlanName is how the cascade is carried on this version, as the request filter
// tells the service.
func (v Version) PlanName() string {
	switch {
	case v.choosesPerAttempt():
		return "priority_group"
	case v.matchesUpstream():
		return "composite"
	}
	return "aggregate"
}

// choosesPerAttempt: the priority_group cluster specifier came with 1.40.
func (v Version) choosesPerAttempt() bool { return v >= 40 }

// matchesUpstream: the composite cluster came with 1.37, and from there on a
// matcher may wrap upstream filters (on the response it crashes 1.36).
func (v Version) matchesUpstream() bool { return v >= 37 }
