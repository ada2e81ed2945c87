package store

// LimitBlobs sets the longest blob, in bytes, of a Redis that is not used yet.
func (r *Redis) LimitBlobs(n int) { r.maxBlob = n }

// NewRedisOfVersion is NewRedis of a version that keeps its limits in another format.
func NewRedisOfVersion(o RedisOptions, format int) (*Redis, error) {
	r, err := NewRedis(o)
	if err == nil {
		r.keys = keysOf("isthmus:", format)
	}
	return r, err
}
