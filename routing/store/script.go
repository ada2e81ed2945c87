package store

import (
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
