package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Named is the source of replicas that were named at the start, as "HOST:PORT". A
// host name stands for itself and for all addresses that it has at present.
func Named(
	list []string, lookup func(ctx context.Context, host string) ([]string, error),
) (func(context.Context) ([]string, error), error) {
	for _, each := range list {
		if host, port, err := net.SplitHostPort(each); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("%q is no HOST:PORT", each)
		}
	}
	had := map[string][]string{} // what a name had last
	return func(ctx context.Context) ([]string, error) {
		var out []string
		var failed error
		for _, each := range list {
			out = append(out, each)
			host, port, _ := net.SplitHostPort(each)
			if net.ParseIP(host) != nil {
				continue
			}
			addresses, err := lookup(ctx, host)
			if failed = errors.Join(failed, err); err == nil {
				had[host] = addresses
			}
			for _, a := range had[host] {
				out = append(out, net.JoinHostPort(a, port))
			}
		}
		return out, failed
	}, nil
}
