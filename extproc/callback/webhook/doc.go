// Package webhook posts records to a URL of the user's: what LiteLLM calls
// generic_api and the guide calls webhook.
//
// # Signature
//
// With a secret, each request carries
//
//	X-Isthmus-Signature: t=1700000000,v1=5257a869…
//
// where v1 is the lower-case hex HMAC-SHA256, keyed with the secret, of the
// timestamp, a full stop and the body as it was sent. A receiver computes the
// same, compares in constant time and refuses timestamps that are minutes old.
// [Verify] does all that.
package webhook
