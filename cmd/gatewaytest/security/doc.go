// Package security tests who sees what: every secret of a config and of a client is
// looked for wherever a whole gateway sends, logs or shows something.
package security
