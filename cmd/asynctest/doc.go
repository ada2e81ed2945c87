// Package asynctest is for tests of what runs beside them: a text that is read
// while it is written, such as a log, the wait for something that another goroutine
// or process brings about, how much of a time the machine was late, and a port for a
// server that nobody else takes meanwhile. It is a leaf, so that every package's
// tests may use it.
package asynctest
