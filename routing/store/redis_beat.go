package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// beatLife is how long a replica counts as alive after its last beat.
const beatLife = 5 * time.Second

// Beat tells the others that this replica lives, and what of them is known.
func (r *Redis) Beat(ctx context.Context, b Beat) (Peers, error) {
	c := call{prefix: r.keys.own, keys: make([]string, 0, 2+len(b.Watch)+len(b.Slots))}
	c.keys = append(c.keys, r.keys.shared+"replicas", r.keys.epoch)
	for _, keys := range [][]string{b.Watch, b.Slots} {
		for _, key := range keys {
			c.key(key)
		}
	}
	load, err := json.Marshal(b.Load)
	if err != nil {
		return Peers{}, fmt.Errorf("tell the other replicas: %w", err)
	}
	sent := r.now()
	out, err := r.scripts.beat.Run(ctx, r.once, c.keys, r.keys.replicaOf+r.replica, beatLife.Milliseconds(), load, rand.Text(),
		len(b.Watch), r.keys.replicaOf).StringSlice()
	if err != nil {
		return Peers{}, fmt.Errorf("tell the other replicas: %w", err)
	}
	if len(out) < 3 {
		return Peers{}, fmt.Errorf("tell the other replicas: redis answered %d values", len(out))
	}
	if err := r.readClock(out[0], sent); err != nil {
		return Peers{}, fmt.Errorf("tell the other replicas: %w", err)
	}
	peers, err := r.readPeers(out[2], out[3:], &b)
	peers.Epoch = out[1]
	return peers, err
}

// readPeers reads the use of what was asked for, and the other replicas. One whose load
// cannot be read lives all the same.
func (r *Redis) readPeers(used string, others []string, asked *Beat) (Peers, error) {
	p := Peers{Replicas: 1 + len(others), Load: map[string]int64{}, Used: make([]int64, len(asked.Watch)),
		Held: make([]int64, len(asked.Slots))}
	in := reader{text: used}
	for _, into := range [][]int64{p.Used, p.Held} {
		for i := range into {
			into[i] = in.num()
		}
	}
	if in.bad {
		return Peers{}, fmt.Errorf("read the use of windows: redis answered %q", used)
	}
	for _, text := range others {
		if text[0] == '0' {
			p.Foreign++
		}
		load, ok := readLoad(text[1:])
		if !ok {
			r.skipped.add(replicaKind, 1)
		}
		for deployment, n := range load {
			p.Load[deployment] += n
		}
	}
	return p, nil
}

// maxLoad is the most attempts on one deployment that a replica is believed.
const maxLoad = 1 << 24

// readLoad reads what runs on a replica, by deployment; not ok: the text is none, or
// not all of it can be true.
func readLoad(text string) (load map[string]int64, ok bool) {
	if err := json.Unmarshal([]byte(text), &load); err != nil {
		return nil, false
	}
	for _, n := range load {
		if n < 0 || n > maxLoad {
			return nil, false
		}
	}
	return load, true
}
