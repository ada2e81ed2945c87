// Package xds changes the upstream clusters and routes of a running Envoy: that of
// `isthmus run`, whose bootstrap says that it has them from the service (Dynamic in
// package envoy). Envoy asks by CDS and RDS, on the socket of the ext_proc service.
//
// [Server.Set] returns when Envoy has taken what it was given, so that requests may
// be sent to a new cluster then, and never before. What Envoy refuses is taken back.
//
// Envoys that other people run have their clusters from where their configuration
// says; nothing here is for them.
package xds
