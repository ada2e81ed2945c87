// Package storetest holds the suite that every store must pass ([Run]), its
// benchmarks ([Bench]), and real Redis servers for tests: one ([Start]) or a
// cluster of three nodes ([StartCluster]), which end with the test. They need
// redis-server in the PATH; .ci/deps installs it.
package storetest
