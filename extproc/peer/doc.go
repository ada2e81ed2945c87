// Package peer knows the other replicas of the service and keeps the connections
// to them.
//
// Envoy balances its streams over the replicas, so that some must be handed on to
// the one that has their request, whose address comes with the message. It is
// dialled only if it is known by another way: replicas meet in Redis, or were named
// at the start ([Set.Follow]). Otherwise whoever reaches this port could have any
// address dialled.
//
// A source is asked once a second, beside the requests. One that does not answer
// leaves what it said last in force for a while. An address that is not known has
// its source asked again at once, so that a replica that has just come is found;
// not more often than a few times a second, however many ask.
package peer
