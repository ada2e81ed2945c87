// Package store keeps what several replicas share.
package store
