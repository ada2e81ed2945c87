package store

import "github.com/redis/go-redis/v9"

// LimitBlobs sets the longest blob, in bytes, of a Redis that is not used yet.
func (r *Redis) LimitBlobs(n int) { r.maxBlob = n }

// AddHook has each command pass a hook.
func (r *Redis) AddHook(h redis.Hook) { r.client.AddHook(h) }

// NewRedisOfVersion is NewRedis of a version that keeps its limits in another format.
func NewRedisOfVersion(o RedisOptions, format int) (*Redis, error) {
	r, err := NewRedis(o)
	if err == nil {
		r.keys = keysOf("isthmus:", format)
	}
	return r, err
}
