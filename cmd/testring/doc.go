// Package testring sorts the tests into three rings, each a target of the Makefile:
//
//	make test     exact: right or wrong on any machine, however slow or busy
//	make soak     judged by times, memory or what becomes of a long load
//	make compat   against what changes by itself: the newest libraries of clients
//
// A test is of the first ring unless it calls [Soak] or [Compat], which are the one
// mechanism: make sets the variable [Variable] and everything else is skipped, with
// its reason. By hand (`go test ./…`, no variable) the tests of the first ring run,
// and one that needs what this machine lacks is skipped by [Lacks], which under make
// fails it. docs/testing.md says which ring shows what.
package testring
