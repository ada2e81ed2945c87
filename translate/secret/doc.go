// Package secret holds the one type that keys and passwords travel in, so that
// no log line, error, trace or metadata value can show them by accident.
package secret
