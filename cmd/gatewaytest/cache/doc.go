// Package cache tests the response cache through whole gateways: in the memory of one,
// and shared by several through Redis.
package cache
