package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/isthmus-proxy/isthmus/routing/file"
)

// encryption completes what a URL has said of TLS; given is nil when it has said
// nothing.
func (s *Server) encryption(given *tls.Config) (*tls.Config, error) {
	c := given
	switch {
	case c != nil:
	case s.TLS:
		c = &tls.Config{}
	case s.CAFile != "" || s.CertFile != "" || s.KeyFile != "" || s.Insecure:
		return nil, errors.New("certificates of the redis are configured, but no TLS: say ssl: true, or rediss:// in the URL")
	default:
		return nil, nil
	}
	c.MinVersion = tls.VersionTLS12
	// A certificate must be good for whoever is called: the host of the URL may be a
	// sentinel, or one node of a cluster, and the others have names of their own.
	c.ServerName = ""
	c.InsecureSkipVerify = c.InsecureSkipVerify || s.Insecure
	if s.CAFile != "" {
		pem, err := file.Read(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the CA certificates of the redis: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the CA certificates of the redis: %s holds no certificate", s.CAFile)
		}
	}
	if s.CertFile != "" || s.KeyFile != "" {
		own, err := keyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read our certificate for the redis: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// keyPair is tls.LoadX509KeyPair, which would read anything.
func keyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := file.Read(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := file.Read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
