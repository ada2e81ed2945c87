package store

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// refused reports whether an error is the server's reply that it does not write at
// present, whatever it is asked: it is full, a replica, without the replicas it needs,
// could not save, loads its data, or its cluster is down. A script of ours that ends with
// such a reply has changed nothing: the server says so before it runs, or at its first
// write. What has no reply is never refused: it may have been done.
func refused(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := reply.Error()
	if strings.HasPrefix(text, "ERR Error running script") { // Redis 6 and before: …: @user_script: 12: -OOM …
		_, text, _ = strings.Cut(text, ": -")
	}
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "OOM", "READONLY", "NOREPLICAS", "MISCONF", "LOADING", "MASTERDOWN", "CLUSTERDOWN":
		return true
	}
	return false
}
