package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// Server says which Redis to talk to. Its fields are those of config.Redis, so
// that the one converts to the other.
type Server struct {
	URL           string // redis://, rediss://, unix://; with ?addr=… a cluster, with ?master_name=… sentinels; wins over Host and Port
	Host          string
	Port          int // default 6379
	Username      string
	Password      secret.Text
	TLS           bool   // also by a URL that begins with rediss://
	CAFile        string // PEM: whom to trust; "": whom the system trusts
	CertFile      string // PEM: our own certificate, for a server that asks for one
	KeyFile       string // PEM: its key
	Insecure      bool   // any certificate of the server will do
	DB            int
	ClusterNodes  []string // host:port
	SentinelNodes []string
	SentinelName  string // default "mymaster"
}

// Times of the client. Callers bring a deadline of their own, which is shorter.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 5 * time.Second
)

// options turns the Server into the client's options.
func (s Server) options() (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{DB: s.DB}
	switch {
	case s.URL != "":
		if err := readURL(o, s.URL); err != nil {
			return nil, err
		}
	case len(s.ClusterNodes) > 0:
		o.Addrs, o.IsClusterMode = s.ClusterNodes, true
	case len(s.SentinelNodes) > 0:
		o.Addrs, o.MasterName = s.SentinelNodes, s.SentinelName
		if o.MasterName == "" {
			o.MasterName = "mymaster"
		}
	case s.Host != "":
		port := s.Port
		if port == 0 {
			port = 6379
		}
		o.Addrs = []string{net.JoinHostPort(s.Host, strconv.Itoa(port))}
	default:
		return nil, errors.New("no address of a redis is configured")
	}
	if s.Username != "" {
		o.Username = s.Username
	}
	if !s.Password.IsZero() {
		o.Password = s.Password.Reveal()
	}
	var err error
	if o.TLSConfig, err = s.encryption(o.TLSConfig); err != nil {
		return nil, err
	}
	setClientOptions(o)
	return o, nil
}

// readURL reads a URL of one server, of a cluster or of sentinels. Its errors do
// not repeat the URL: it may hold a password.
func readURL(o *redis.UniversalOptions, text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("the URL of the redis cannot be parsed")
	}
	switch q := u.Query(); {
	case q.Has("master_name"):
		f, err := redis.ParseFailoverURL(text)
		if err != nil {
			return urlError(err)
		}
		o.Addrs, o.MasterName, o.DB = f.SentinelAddrs, f.MasterName, f.DB
		o.Username, o.Password, o.TLSConfig = f.Username, f.Password, f.TLSConfig
		o.SentinelUsername, o.SentinelPassword = f.SentinelUsername, f.SentinelPassword
	case q.Has("addr"):
		c, err := redis.ParseClusterURL(text)
		if err != nil {
			return urlError(err)
		}
		o.Addrs, o.IsClusterMode = c.Addrs, true
		o.Username, o.Password, o.TLSConfig = c.Username, c.Password, c.TLSConfig
	default:
		one, err := redis.ParseURL(text)
		if err != nil {
			return urlError(err)
		}
		o.Addrs, o.Username, o.Password, o.TLSConfig = []string{one.Addr}, one.Username, one.Password, one.TLSConfig
		if one.DB != 0 {
			o.DB = one.DB
		}
	}
	return nil
}

func urlError(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return fmt.Errorf("read the URL of the redis: %w", inner.Err)
	}
	return fmt.Errorf("read the URL of the redis: %w", err)
}

// setClientOptions sets what every client of ours has. Nothing is retried: a charge that is
// sent twice counts twice, and whoever waits has somewhere else to go.
func setClientOptions(o *redis.UniversalOptions) {
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, ioTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.MinIdleConns = 2
	o.DisableIdentity = true
	o.FailingTimeoutSeconds = 1
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// newClient makes the client, and silences the library's own log: Shared says in
// one line when a server goes and when it returns.
func newClient(o *redis.UniversalOptions) redis.UniversalClient {
	redis.SetLogger(discardLogger{})
	return redis.NewUniversalClient(o)
}

type discardLogger struct{}

func (discardLogger) Printf(context.Context, string, ...any) {}
