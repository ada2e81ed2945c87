// Package ending tells how a request ended for its client, by the bytes that the client
// got: whole, as a whole error, or as neither. The commands and tests that load a
// gateway judge every request by it.
package ending
