// Package secret holds the one type that keys and passwords travel in, so that
// no log line, error, trace or metadata value can show them by accident, and the
// Redactor, which takes them out of text that others wrote.
package secret
