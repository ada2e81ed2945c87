// Command simulate compares the routing strategies on a made-up fleet: 100
// deployments of different speed, capacity and quota, some of which become slow
// for a while, and a million requests. Time and chance are made up too, so that
// each run gives the same result to the last digit. It drives the real Router,
// not a model of it (world.go), and writes the table and the plot of
// docs/routing.md (report.go, plot.go).
package main
