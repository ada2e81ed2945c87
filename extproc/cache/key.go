package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Key names the answer to a request. Two requests have the same Key when no
// provider could tell them apart and nothing that decides who answers differs.
// It is comparable; the zero Key names nothing.
type Key struct {
	namespace string
	sum       [sha256.Size]byte
}

// String is the key in the store, and the value of x-litellm-cache-key: the
// namespace, a colon, the SHA-256 in hex.
func (k Key) String() string {
	text := make([]byte, 0, len(k.namespace)+1+2*len(k.sum))
	text = append(append(text, k.namespace...), ':')
	return string(hex.AppendEncode(text, k.sum[:]))
}

// Scope is what decides the answer beside the request's own text.
type Scope struct {
	Tenant    string // whose answers these are; one tenant never sees another's
	Namespace string // of this request (Controls.Namespace), below the configured one; "" is none
	// Group is the model group whose answer this is. "" is the name the client
	// asked for; the integrator gives another one to look for or store the
	// answer of a fallback under its own name.
	Group  string
	Config [sha256.Size]byte // of the group: see [ConfigDigest]
	// Tags are those routing will choose by, whichever way they came in the
	// request. Their order does not matter.
	Tags []string
	// Vary are the client's headers that reach the provider and may change the
	// answer (openai-beta, anthropic-beta).
	Vary upstream.Header
}

// DefaultNamespace is where keys live when the configuration names no namespace.
// It is not that of the limits in the same Redis: a flush must not touch them.
const DefaultNamespace = "isthmus-cache"

// Keyer makes keys in one namespace. It is safe for concurrent use.
type Keyer struct {
	namespace string
	pool      sync.Pool // of *canonical
}

// NewKeyer returns the Keyer of a configured namespace; "" is [DefaultNamespace].
func NewKeyer(namespace string) *Keyer {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	return &Keyer{namespace: namespace}
}

// Key returns the key of the request. It reads the body once, in time linear in
// its size.
func (k *Keyer) Key(req *chat.Request, scope Scope) Key { return k.key(req, scope, "") }

// key is Key with one more member left out.
func (k *Keyer) key(req *chat.Request, scope Scope, without string) Key {
	c := k.take()
	c.scope(req, &scope, k.namespace)
	c.body(req, without)
	key := Key{namespace: k.namespace, sum: sha256.Sum256(c.buf)}
	if scope.Namespace != "" {
		key.namespace += ":" + scope.Namespace
	}
	k.give(c)
	return key
}

// item returns the key of one item of a request whose key without its items is
// base.
func (k *Keyer) item(base Key, item []byte) Key {
	c := k.take()
	c.buf = append(append(c.buf, "item\x00"...), base.sum[:]...)
	text := jsonedit.NewCursor(item, 0)
	c.value(&text)
	base.sum = sha256.Sum256(c.buf)
	k.give(c)
	return base
}

func (k *Keyer) take() *canonical {
	if c, ok := k.pool.Get().(*canonical); ok {
		return c
	}
	return &canonical{buf: make([]byte, 0, 2*longest), members: make([]span, 0, 32)}
}

// maxKept bounds the buffers that wait for the next request, in bytes.
const maxKept = 1 << 20

func (k *Keyer) give(c *canonical) {
	if cap(c.buf)+cap(c.scratch) <= maxKept {
		c.reset()
		k.pool.Put(c)
	}
}

// keyVersion changes when the meaning of keys does: an older entry is a miss.
const keyVersion = "isthmus/1"

func (c *canonical) scope(req *chat.Request, scope *Scope, namespace string) {
	group := scope.Group
	if group == "" {
		group = req.Model
	}
	for _, s := range []string{keyVersion, namespace, scope.Namespace, string(req.Endpoint), group, scope.Tenant} {
		c.field(s)
	}
	c.buf = append(c.buf, scope.Config[:]...)
	tags := slices.Sorted(slices.Values(scope.Tags))
	c.buf = binary.AppendUvarint(c.buf, uint64(len(tags)))
	for _, tag := range tags {
		c.field(tag)
	}
	c.buf = binary.AppendUvarint(c.buf, uint64(len(scope.Vary)))
	for _, f := range scope.Vary {
		c.field(f.Name)
		c.field(f.Value)
	}
}

func (c *canonical) field(s string) {
	c.buf = append(binary.AppendUvarint(c.buf, uint64(len(s))), s...)
}

// body writes the members of the request that count, as one object.
func (c *canonical) body(req *chat.Request, without string) {
	start, outer := len(c.buf), len(c.members)
	c.buf = append(c.buf, '{')
	for _, m := range req.Body.Members() {
		if m.Name == without || !counts(req.Endpoint, m.Name) {
			continue
		}
		at := len(c.buf)
		c.buf = append(c.buf, 's')
		c.field(m.Name)
		value := jsonedit.NewCursor(req.Body.Value(m), 0)
		c.memberValue(at, &value)
	}
	c.endObject(start, outer)
}

// counts reports whether a member of the request can change the answer. All do,
// unknown ones too, except:
//
//   - model: the group asked for is in the scope, also when a path named it;
//   - stream, stream_options: how the answer is sent, not what it says;
//   - what speaks to the gateway only, or would to LiteLLM's proxy, and reaches no
//     provider: the cache's controls, retries, timeouts, fallbacks (a fallback's
//     answer is not stored under this key), names for logs and traces, credentials;
//   - tags and metadata: what routing reads of them is in [Scope.Tags];
//   - prompt_cache_key and prompt_cache_retention: they tune the provider's own
//     cache and are not seen by the model.
//
// metadata counts where the answer repeats it (Responses). user counts, as in
// LiteLLM: it reaches the provider, and servers with a memory answer by it. So
// do drop_params and its kin, which change what the provider is sent.
func counts(endpoint chat.Endpoint, name string) bool {
	switch name {
	case "model", "stream", "stream_options", "prompt_cache_key", "prompt_cache_retention":
		return false
	case "drop_params", "additional_drop_params", "allowed_openai_params":
		return true
	case "metadata":
		return endpoint == chat.Responses
	}
	return !chat.IsSteering(name)
}
