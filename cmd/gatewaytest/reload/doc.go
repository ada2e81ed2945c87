// Package reload tests what happens while a gateway runs: a changed config, signals, an
// Envoy that dies, isthmus killed.
package reload
