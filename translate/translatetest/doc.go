// Package translatetest is the suite that every provider's tests run. A provider
// says in its suite_test.go who it is ([Suite]) and calls [Run], [FuzzRequest],
// [FuzzDecoder] and [Bench]; its other tests are about what is its own, with
// [Suite.Bind], [Request] and [Feed] to ask and to answer.
//
// [Run] plays golden exchanges, one txtar file of testdata/exchanges a case:
//
//	what the case shows, and who says so
//	-- config --            litellm_params of the deployment
//	-- request --           what the client posts
//	-- upstream-request --  what the provider must get: header fields that must
//	                        be there, "!name" for those that must not; or "none"
//	-- upstream-answer --   what it answers; "@cut" says where the pieces end
//	-- answer --            what the client must get; of a stream (answer-stream)
//	                        what its chunks add up to; of an error (answer-error)
//	                        what its message contains and its type may be
//	-- stream-error --      the error that a stream ends with
//	-- lenient --           values that need not be equal: a JSON pointer, a rule
//	-- or <pointer> --      another value that is as good in that place
//
// [Load] reads them, [Exchange.Ask] and [Exchange.Play] drive a translator, and
// [Exchange.CompareCall] and [Exchange.CompareAnswer] list what differs. Bodies
// are compared by meaning: canonical.go brings the spellings that a provider
// takes for equal to one, fold.go adds up the chunks of a stream and holds it to
// the rules that clients rely on.
//
// However an answer is cut, the client must get the same bytes: [Run] replays
// each one whole, at the given places, cut at every byte, byte by byte and at
// random.
package translatetest
