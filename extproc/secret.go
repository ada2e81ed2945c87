package extproc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// Who reaches the service's port gets the providers' keys with the first attempt of
// a request. Where others than Envoy reach it, Envoys and replicas say a secret in
// the metadata of each stream, or have a certificate, which is TLS's affair.

// MinSecret is the least length of a shared secret, in bytes.
const MinSecret = 16

// Secrets are what Envoys and other replicas must know. The zero value asks for
// nothing. It is safe for concurrent use; Set may change it at any time.
type Secrets struct{ current atomic.Pointer[secrets] }

type secrets struct {
	say    string              // towards other replicas
	hashes [][sha256.Size]byte // of what is accepted
}

// Set changes the secrets: all are accepted, the first is sent to other replicas.
// So a secret is changed without a gap: first the new one is added behind the old,
// then Envoy gets it, then the old one is taken out. None asks for nothing.
func (s *Secrets) Set(all []secret.Text) error {
	next := &secrets{}
	for i, each := range all {
		text := each.Reveal()
		if err := checkSecret(text); err != nil {
			return err
		}
		if i == 0 {
			next.say = text
		}
		next.hashes = append(next.hashes, sha256.Sum256([]byte(text)))
	}
	s.current.Store(next)
	return nil
}

// checkSecret refuses what is easily guessed or means something in Envoy's
// configuration. The error does not quote it.
func checkSecret(text string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="
	switch {
	case len(text) < MinSecret:
		return fmt.Errorf("the shared secret is shorter than %d characters: make one with `openssl rand -hex 32`", MinSecret)
	case strings.Trim(text, letters) != "":
		return fmt.Errorf("the shared secret has other characters than letters, digits and -._~+/=: make one with `openssl rand -hex 32`")
	}
	return nil
}

// admits reports whether a stream says one of the secrets. The time it takes does
// not depend on what is sent.
func (s *Secrets) admits(ctx context.Context) bool {
	known := s.current.Load()
	if known == nil || len(known.hashes) == 0 {
		return true
	}
	values := grpcmetadata.ValueFromIncomingContext(ctx, names.KeySecret)
	if len(values) != 1 {
		return false
	}
	hash, same := sha256.Sum256([]byte(values[0])), 0
	for i := range known.hashes {
		same |= subtle.ConstantTimeCompare(hash[:], known.hashes[i][:])
	}
	return same == 1
}

// GetRequestMetadata says the secret to another replica.
func (s *Secrets) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if known := s.current.Load(); known != nil && known.say != "" {
		return map[string]string{names.KeySecret: known.say}, nil
	}
	return nil, nil
}

// RequireTransportSecurity is false: how the network is secured is the operator's
// choice.
func (s *Secrets) RequireTransportSecurity() bool { return false }

// Admit is the interceptor that refuses streams without the secret before any of
// their messages is read, and keeps a panic of any service to its stream.
func (s *Server) Admit(secrets *Secrets) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if !secrets.admits(stream.Context()) && !strings.HasPrefix(info.FullMethod, healthService) {
			s.runtime.metrics.RefusedStream(metrics.RefusedSecret)
			return status.Error(codes.Unauthenticated, "the stream does not say the shared secret ("+names.KeySecret+" in its initial_metadata)")
		}
		err := s.guard.Call("a gRPC stream", func() error { return handler(srv, stream) })
		return err
	}
}
