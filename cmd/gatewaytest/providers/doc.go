// Package providers tests each provider's own format through whole gateways: providers
// that check all they are sent and answer as the real ones do (provider_test.go), asked
// by the official libraries of clients. conversation_test.go has what the model says.
package providers
