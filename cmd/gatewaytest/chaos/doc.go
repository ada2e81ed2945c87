// Package chaos breaks one part of a gateway at a time while it is loaded, and judges
// by what must hold whatever fails: every request is answered or fails cleanly within
// its deadline, nothing that a request held is left, nothing is counted twice, and the
// service comes back by itself. docs/reliability.md has a row for each fault, and what
// was seen.
//
// A row (rows_test.go) runs on a stack of its own (stack_test.go): `isthmus serve` and
// an Envoy as processes that can be stopped and killed one without the other, a real
// Redis, providers that fail as the row says (provider_test.go, fault_test.go), and a
// webhook that keeps the records. client_test.go is the load, observed_test.go what is
// known at the end of a row, judge_test.go says what of it is wrong.
//
// `make chaos ROW=redis-frozen DURATION=15s` runs one row.
package chaos
