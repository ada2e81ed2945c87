// Package routing tests strategies, retries, cascades and cooldowns through whole
// gateways.
package routing
