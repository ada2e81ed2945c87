package store

import (
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// refused reports whether an error is the server's reply that it does not do what it is
// asked at present: it is full, a replica, without the replicas it needs, could not save,
// loads its data, runs a script, has too many clients, or its cluster is down or moves the
// keys; or it has lost its data (EPOCH, of scripts/window.lua). A script of ours that
// ends with such a reply has changed nothing: the server says so before it runs, or at its
// first write. An error without a reply is never refused: the call may have been carried out.
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

// notApplied reports whether an error means that a call of acquire.lua has changed nothing.
func notApplied(err error) bool { return refused(err) || errors.Is(err, errLate) }

// replied reports whether an error is a reply of the server, so that the call is over.
func replied(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
