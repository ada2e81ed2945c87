package store

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// refused reports whether an error is the server's reply that it does not do what it is
// asked at present: it is full, a replica, without the replicas it needs, could not save,
// loads its data, runs a script, has too many clients, or its cluster is down or moves the
// keys; or it has lost what it knew (EPOCH, of scripts/window.lua). A script of ours that
// ends with such a reply has changed nothing: the server says so before it runs, or at its
// first write. What has no reply is never refused: it may have been done.
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
	case "OOM", "READONLY", "NOREPLICAS", "MISCONF", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "TRYAGAIN", "EPOCH":
		return true
	}
	return strings.HasPrefix(text, "ERR max number of clients reached")
}

// undone reports whether an error says that a call of acquire.lua has changed nothing.
func undone(err error) bool { return refused(err) || errors.Is(err, errLate) }

// replied reports whether an error is a reply of the server, so that nothing more will
// come of the call.
func replied(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
