// Package limit admits requests: it says which deployment has room for one, and
// reserves that room until the request has ended.
//
// # One request
//
// [Limiter.Admit] (reserve.go) takes the request's candidates in the order the strategy
// wants them and reserves the first whose limits all have room: requests and tokens per
// minute of the deployment and of its model group, those of the caller, the slots
// of the deployment, its group, the caller and the gateway. All is charged in one step
// of the store, or nothing is; a request without any limit never asks the store. Tokens
// are an estimate at this point (estimate.go). When an attempt fails, [Admission.Next]
// releases what its deployment held and reserves another. [Admission.Close] ends it: the
// charges become what the provider counted, the slots are free. Every Admission must be
// closed; nothing it holds leaks when that is late or done twice, and a process that dies
// gives its slots back when their leases end.
//
// Without room, Admit returns a [Refused] (refused.go): the 429 for the client, and, when
// a slot is all that is missing, whose: [Refused.Lacks]. Then [Limiter.AdmitQueued] waits
// for one in the queue (waiting.go).
//
// # The queue
//
// queue.go is who waits and how long, contention.go what is known of the slots, round.go
// who is tried. Requests that need the same slots are a class. The queue notes which slots
// were found full, and how much of a window is used at least; a request is tried only
// when, as far as is known, one of its candidates has room. What is given back, and each
// poll, makes that unknown again. So the store is asked once for each slot that is still
// full, however many wait for it, and no request waits behind one that lacks something
// else. A slot that was found full is kept for those that wait until it was found free.
//
// # What strategies ask
//
// Wait, Used and InFlight answer from memory. A goroutine of the Limiter brings them up to
// date once a second and tells the other replicas what runs here (load.go).
package limit
