package cli

import (
	"net"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// openAccess is the warning for a config without a master_key, which lets in
// whoever reaches clientAddress; "" when the config has one.
func openAccess(c *config.Config, clientAddress string) string {
	if !c.MasterKey.IsZero() {
		return ""
	}
	return "no master_key is set: everybody who reaches " + clientAddress + " is let in, and can use the providers' keys; " +
		"set master_key in general_settings, or the variable LITELLM_MASTER_KEY"
}

// behindEnvoy names where clients come in at an Envoy that somebody else runs and
// that calls the service at this address.
func behindEnvoy(service envoy.Address) string { return "the Envoy that asks " + service.String() }

// listenAddress is where a generated Envoy listens for clients by default: on all
// addresses, or on loopback alone when the config has no master_key.
func listenAddress(c *config.Config) string {
	host := "0.0.0.0"
	if c.MasterKey.IsZero() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, "4000")
}
