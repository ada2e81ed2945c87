package store

import (
	"context"
	_ "embed"
	"strconv"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/window.lua
var windowLua string

//go:embed scripts/acquire.lua
var acquireLua string

//go:embed scripts/settle.lua
var settleLua string

//go:embed scripts/beat.lua
var beatLua string

//go:embed scripts/cooldown.lua
var cooldownLua string

//go:embed scripts/replicas.lua
var replicasLua string

// scripts are what runs on the server, known to it by their hash and sent again
// when it has forgotten them.
type scripts struct{ acquire, settle, beat, cooldown, replicas *redis.Script }

func newScripts() scripts {
	return scripts{
		acquire:  redis.NewScript(windowLua + acquireLua),
		settle:   redis.NewScript(windowLua + settleLua),
		beat:     redis.NewScript(windowLua + beatLua),
		cooldown: redis.NewScript(windowLua + cooldownLua),
		replicas: redis.NewScript(windowLua + replicasLua),
	}
}

// noRetryClient is a client that sends each call of a script once. A cluster's client
// retries by itself what got no reply: the server may have run it, and a charge would count
// twice. Redirections (MOVED, ASK) are still followed.
type noRetryClient struct{ redis.UniversalClient }

// EvalSha calls a script that the server knows.
func (c noRetryClient) EvalSha(ctx context.Context, hash string, keys []string, args ...any) *redis.Cmd {
	return c.eval(ctx, "evalsha", hash, keys, args)
}

// Eval calls a script with its text.
func (c noRetryClient) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	return c.eval(ctx, "eval", text, keys, args)
}

func (c noRetryClient) eval(ctx context.Context, name, script string, keys []string, args []any) *redis.Cmd {
	all := append(make([]any, 0, 3+len(keys)+len(args)), name, script, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3)
	}
	_ = c.Process(ctx, noRetryCmd{cmd}) // cmd has the error
	return cmd
}

// noRetryCmd is a command that go-redis does not retry.
type noRetryCmd struct{ *redis.Cmd }

// NoRetry is true: see redis.Cmder.
func (noRetryCmd) NoRetry() bool { return true }

// call collects the keys and the packed integers of one script call.
type call struct {
	prefix string
	keys   []string
	packed []byte
}

func (c *call) key(k string) { c.keys = append(c.keys, c.prefix+k) }

func (c *call) num(all ...int64) {
	for _, n := range all {
		c.packed = append(strconv.AppendInt(c.packed, n, 10), ' ')
	}
}

// reader reads packed integers.
type reader struct {
	text string
	bad  bool
}

func (r *reader) more() bool { return len(r.text) > 0 && !r.bad }

func (r *reader) num() int64 {
	i := 0
	for i < len(r.text) && r.text[i] != ' ' {
		i++
	}
	n, err := strconv.ParseInt(r.text[:i], 10, 64)
	r.bad = r.bad || err != nil
	r.text = r.text[min(i+1, len(r.text)):]
	return n
}
