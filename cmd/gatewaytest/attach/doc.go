// Package attach tests `isthmus serve` behind Envoys that somebody else runs: every
// supported version, one with other traffic, one that looks like an Istio gateway, and
// several services behind one Envoy. scenario_test.go has the requests that must go the
// same way through each of them.
package attach
