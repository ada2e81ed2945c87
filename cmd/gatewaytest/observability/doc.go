// Package observability tests what a running gateway shows of itself: the log, the
// metrics, traces, the counts of streams, and the status page in a browser.
package observability
