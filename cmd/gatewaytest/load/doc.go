// Package load measures whole gateways under load, and judges them: processor time per
// request (the benchmarks), memory, and how late answers come when providers, Redis or
// the receivers of records fail. Most of its tests are of the ring soak.
package load
