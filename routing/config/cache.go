package config

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// cacheTable is the settings of the cache and of Redis.
func cacheTable() map[string]setter {
	table := map[string]setter{
		"cache":         func(c *Config, v value) { v.boolean(&c.Cache.Enabled) },
		"cache_params":  func(c *Config, v value) { v.cacheParams(c) },
		"redis_timeout": func(c *Config, v value) { v.redisTimeout(&c.RedisTimeout) },
	}
	for _, name := range []string{"url", "host", "port", "password", "username", "ssl", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile",
		"ssl_keyfile", "db"} {
		table["redis_"+name] = func(c *Config, v value) {
			v.name = name // as cache_params calls it
			v.redisParam(&c.Redis)
		}
	}
	return table
}

const maxPort = 65535

func (v value) port(into *int) {
	if f, ok := v.number(1, true); ok {
		if f > maxPort {
			v.fail("want a port from 1 to %d, got %s", maxPort, v.shown())
			return
		}
		*into = int(f)
	}
}

// redisTimeout is bounded: Envoy waits 10 s for an answer, and a request may ask
// Redis twice before its first attempt.
func (v value) redisTimeout(into *time.Duration) {
	const want = "a number of seconds from 0.01 to 4"
	text, ok := v.scalar(want)
	if !ok {
		return
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0.01 && f <= 4) {
		v.fail("want %s, got %s", want, v.shown())
		return
	}
	*into = time.Duration(f * float64(time.Second))
}

// redisURL checks the scheme; the URL may hold a password and is never shown.
func (v value) redisURL(into *Redis) {
	s, ok := v.scalar("a URL")
	if !ok {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" && u.Path == "" || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		v.fail("want a URL that begins with redis://, rediss:// or unix://")
		return
	}
	into.URL = s
}

// keepNothing is what to say instead of a time of 0.
const keepNothing = "to keep no answers, set cache: false"

// cacheParams reads cache_params. Its Redis is the shared store for limits too.
func (v value) cacheParams(c *Config) {
	var ttl, byType time.Duration
	for _, f := range v.fields() {
		switch f.name {
		case "type":
			f.cacheType(c)
		case "ttl":
			f.positiveSeconds(&ttl, keepNothing)
		case "default_in_redis_ttl", "default_in_memory_ttl":
			f.positiveSeconds(&byType, keepNothing)
		case "namespace":
			f.namespace(&c.Cache.Namespace)
		case "mode":
			f.cacheMode(&c.Cache.OptIn)
		case "supported_call_types":
			f.strings(&c.Cache.CallTypes)
		case "max_entry_size":
			f.integer64(&c.Cache.MaxEntrySize, 1)
		case "max_size":
			f.integer64(&c.Cache.MaxSize, 1)
		default:
			if !f.redisParam(&c.Redis) && !f.answer(litellm.CacheParams) {
				f.unknown(cacheNames())
			}
		}
	}
	switch {
	case ttl > 0:
		c.Cache.TTL = ttl
	case byType > 0:
		c.Cache.TTL = byType
	}
}

// cacheNames are the members of cache_params, for who has misspelt one.
func cacheNames() []string {
	return []string{"type", "ttl", "default_in_redis_ttl", "default_in_memory_ttl", "namespace", "mode", "supported_call_types",
		"max_entry_size", "max_size",
		"host", "port", "password", "username", "url", "ssl", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "db",
		"redis_startup_nodes", "sentinel_nodes", "service_name"}
}

// redisParam reads one member of cache_params that says where Redis is.
func (v value) redisParam(r *Redis) bool {
	switch v.name {
	case "host":
		v.str(&r.Host)
	case "port":
		v.port(&r.Port)
	case "password":
		v.secret(&r.Password)
	case "username":
		v.str(&r.Username)
	case "url":
		v.redisURL(r)
	case "ssl":
		v.boolean(&r.TLS)
	case "ssl_ca_certs":
		v.str(&r.CAFile)
	case "ssl_certfile":
		v.str(&r.CertFile)
	case "ssl_keyfile":
		v.str(&r.KeyFile)
	case "ssl_cert_reqs":
		v.verifies(&r.Insecure)
	case "db":
		v.integer(&r.DB, 0)
	case "redis_startup_nodes":
		r.ClusterNodes = v.nodes()
	case "sentinel_nodes":
		r.SentinelNodes = v.nodes()
	case "service_name":
		v.str(&r.SentinelName)
	default:
		return false
	}
	return true
}

// verifies reads whether the server's certificate is looked at.
func (v value) verifies(insecure *bool) {
	switch s, ok := v.scalar("required or none"); {
	case !ok:
	case s == "required":
		*insecure = false
	case s == "none":
		*insecure = true
		v.say(Warning, "any certificate of the Redis is taken: whoever stands between can read and change what is stored")
	default:
		v.fail("want required or none, got %s", v.shown())
	}
}

// nodes reads [{host, port}], [[host, port]] or ["host:port"].
func (v value) nodes() []string {
	var out []string
	for _, item := range v.items() {
		host, port := item.hostPort()
		switch n, err := strconv.Atoi(port); {
		case host == "" || port == "":
			item.fail("want a node's host and port, got %q", net.JoinHostPort(host, port))
		case err != nil || n < 1 || n > maxPort:
			item.fail("want a port from 1 to %d, got %q", maxPort, port)
		default:
			out = append(out, net.JoinHostPort(host, port))
		}
	}
	return out
}

// hostPort reads one node, as far as it says anything.
func (v value) hostPort() (host, port string) {
	switch v.node.Kind {
	case yaml.MappingNode:
		for _, f := range v.fields() {
			switch f.name {
			case "host":
				f.str(&host)
			case "port":
				f.str(&port)
			}
		}
	case yaml.SequenceNode:
		var pair []string
		if v.strings(&pair); len(pair) == 2 {
			host, port = pair[0], pair[1]
		}
	default:
		s, _ := v.scalar("host:port")
		if i := strings.LastIndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i+1:]
		} else {
			host = s
		}
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), port
}

// cacheType reads where answers are kept. Where isthmus cannot keep them it keeps
// none: a cache restricts nothing.
func (v value) cacheType(c *Config) {
	s, ok := v.scalar("local or redis")
	if !ok {
		return
	}
	c.noCache = false
	switch s {
	case "local", "redis":
		c.Cache.Type = s
	case "in-memory", "in_memory", "memory":
		c.Cache.Type = "local"
	case "redis-semantic", "valkey-semantic", "qdrant-semantic", "s3", "gcs", "azure-blob", "disk":
		c.noCache = true
		v.say(Warning, "isthmus has no cache of type %s: ignored, and no answers are kept; use local or redis", s)
	default:
		v.fail("want local or redis, got %s", v.shown())
	}
}

// namespace refuses the one that the keys of limits begin with: flushing the cache
// would lift the limits.
func (v value) namespace(into *string) {
	v.str(into)
	if *into == "isthmus" || strings.HasPrefix(*into, "isthmus:") {
		v.fail("isthmus is the namespace of limits: want another one, such as isthmus-cache")
	}
}

func (v value) cacheMode(optIn *bool) {
	switch s, ok := v.scalar("default_on or default_off"); {
	case !ok:
	case s == "default_on":
		*optIn = false
	case s == "default_off":
		*optIn = true
	default:
		v.fail("want default_on or default_off, got %s", v.shown())
	}
}

// finishCache fills what depends on several settings.
func (c *Config) finishCache() {
	c.Cache.Enabled = c.Cache.Enabled && !c.noCache
	if c.Cache.TTL == 0 {
		c.Cache.TTL = 600 * time.Second
		if c.Cache.Type == "redis" {
			c.Cache.TTL = 60 * time.Second
		}
	}
	if c.Cache.Enabled && c.Cache.Type == "redis" && !c.Redis.Configured() {
		c.Redis = c.Redis.over(c.envRedis)
		if !c.Redis.Configured() {
			c.Redis.Host = "localhost"
		}
	}
	if c.Redis.Host != "" && c.Redis.Port == 0 {
		c.Redis.Port = 6379
	}
}

// over completes what the file says of a Redis by what the environment says: the
// file may name the CA, and the environment the host.
func (r Redis) over(env Redis) Redis {
	env.Port = cmp.Or(r.Port, env.Port)
	env.Username = cmp.Or(r.Username, env.Username)
	env.TLS = r.TLS || env.TLS
	env.CAFile = cmp.Or(r.CAFile, env.CAFile)
	env.CertFile, env.KeyFile = cmp.Or(r.CertFile, env.CertFile), cmp.Or(r.KeyFile, env.KeyFile)
	env.Insecure = r.Insecure || env.Insecure
	env.DB = cmp.Or(r.DB, env.DB)
	env.SentinelName = r.SentinelName
	if !r.Password.IsZero() {
		env.Password = r.Password
	}
	return env
}

func scalarNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}
