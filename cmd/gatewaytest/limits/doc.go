// Package limits tests limits of requests, tokens and parallel requests, the queue, and
// the Redis that replicas share, through whole gateways. What is counted is exact.
package limits
