package store

import "strconv"

// keyFormat is the version of what is kept under the keys of limits and cooldowns: it
// stands in each of these keys, so that no version ever reads what another one meant
// otherwise. Whoever changes the meaning of a value raises it. From then on, while
// replicas of both run, each side counts under keys of its own, and grants its part of
// each limit: see Peers.Foreign.
//
// Two hashes have no version, since all versions share them: "replicas" (who lives)
// and "addresses". Their entries must stay as scripts/beat.lua and replicas.lua say.
const keyFormat = 1

// keys are what the keys of limits begin with, and names of replicas.
type keys struct {
	shared    string // of all versions
	own       string // of this one
	epoch     string // the key of the epoch
	replicaOf string // the name of a replica of this one in the shared hash
}

// keysOf makes the keys of a format. They have one hash tag: what one request needs
// must be on one node.
func keysOf(prefix string, format int) keys {
	shared, version := prefix+"{limits}:", strconv.Itoa(format)
	own := shared + version + ":"
	return keys{shared: shared, own: own, epoch: own + "epoch", replicaOf: version + "/"}
}
