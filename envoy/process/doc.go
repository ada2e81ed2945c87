// Package process finds an Envoy, fetches one when there is none, and runs it as
// a child that never outlives this program.
package process
