// Package envoytest is what tests need to show that a real Envoy takes what
// package envoy writes: Envoys of every supported version, configurations of
// Envoys that somebody else runs, and the joining of the two as an operator or
// Istio's control plane does it.
package envoytest
