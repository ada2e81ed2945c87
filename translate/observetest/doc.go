// Package observetest is for tests of what runs beside them: a text that is read
// while it is written, such as a log, and the wait for something that another
// goroutine or process brings about. It is a leaf, so that every package's tests
// may use it.
package observetest
