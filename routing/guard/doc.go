// Package guard keeps a panic from ending the process: Go ends it for one that no
// function of its goroutine recovers. Each goroutine and each timer of ours runs
// under a [Guard], which logs the panic and counts it.
//
// A goroutine that works in a loop is guarded step by step, so that one bad step
// does not end the loop.
package guard
