// Package all makes the sinks that a configuration names and hands every record
// and event to those that want it. It is the one place that knows all of them.
package all
