package cli

import (
	"net"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// everybody says who is let in where the config has no master_key, and what to do
// about it; "" where it has one. at is where the clients come in.
func everybody(c *config.Config, at string) string {
	if !c.MasterKey.IsZero() {
		return ""
	}
	return "no master_key is set: everybody who reaches " + at + " is let in, and can use the providers' keys; " +
		"set master_key in general_settings, or the variable LITELLM_MASTER_KEY"
}

// behind is where clients come in at an Envoy that asks the service here.
func behind(service envoy.Address) string { return "the Envoy that asks " + service.String() }

// listenAddress is where an Envoy of its own listens for clients when nobody says:
// on this machine alone, unless clients must send a key.
func listenAddress(c *config.Config) string {
	host := "0.0.0.0"
	if c.MasterKey.IsZero() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, "4000")
}
