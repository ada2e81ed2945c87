// Command soak puts ordinary mixed traffic on a real isthmus with a real Envoy
// for a while, and says what became of each request and of the memory.
//
// The providers are scripted and in this process: what one does stands in the
// prompt (provider.go). kinds.go is the mix, client.go makes a request and says
// how it ended, gateway.go starts what is loaded, tally.go counts and prints,
// memory.go says whether the memory is flat.
//
// It exits with 1 when a request was neither answered nor failed cleanly, when an
// Envoy died, or when memory grew. `make soak` runs it.
package main
