package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// ConfigDigest sums up what the deployments of a model group are, for
// [Scope.Config]: a changed model, default or address makes new keys, so that no
// entry outlives the configuration it was made under. The order of deployments,
// their API keys and tokens, and their weights do not count: any of
// the group may answer. Replicas with the same configuration get the same
// digest. It is computed once, when the configuration is loaded.
func ConfigDigest(targets []*upstream.Target) [sha256.Size]byte {
	sums := make([][sha256.Size]byte, len(targets))
	for i, t := range targets {
		c := &canonical{}
		c.target(t)
		sums[i] = sha256.Sum256(c.buf)
	}
	slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	sums = slices.Compact(sums)
	whole := sha256.New()
	for i := range sums {
		whole.Write(sums[i][:])
	}
	return [sha256.Size]byte(whole.Sum(nil))
}

func (c *canonical) target(t *upstream.Target) {
	for _, s := range []string{t.Provider, t.Model, t.BaseURL, t.APIVersion, t.BaseModel} {
		c.field(s)
	}
	c.buf = append(c.buf, byte(btoi(t.DropParams)))
	for _, list := range [][]string{t.DropAlso, t.AllowAlso} {
		c.list(slices.Sorted(slices.Values(list)))
	}
	headers := make([]string, 0, len(t.Headers))
	for _, h := range t.Headers {
		headers = append(headers, h.Name+"\x00"+h.Value.Reveal()) // only its sum is kept
	}
	c.list(headers)
	start, outer := len(c.buf), len(c.members)
	c.buf = append(c.buf, '{')
	for _, p := range t.Defaults {
		at := len(c.buf)
		c.buf = append(c.buf, 's')
		c.field(p.Name)
		value := jsonedit.NewCursor(p.Value, 0)
		c.memberValue(at, &value)
	}
	c.endObject(start, outer)
}

func (c *canonical) list(list []string) {
	c.buf = binary.AppendUvarint(c.buf, uint64(len(list)))
	for _, s := range list {
		c.field(s)
	}
}
