package names

// Keys of the gRPC metadata (initial_metadata) of each stream to the service.
// Envoy writes them, from its configuration; the service reads them.
const (
	KeyFilter = "x-isthmus-filter" // which filter this is: FilterRequest, FilterRetry, FilterFailure or FilterOpening
	KeyPlan   = "x-isthmus-plan"   // how this Envoy is told the plan: PlanPriorityGroup, PlanComposite or PlanAggregate
	KeyLog    = "x-isthmus-log"    // what its access log reports: LogEndings or LogUsage; absent: nothing; only FilterRequest says it
	// KeyTimeouts says where the deployments' own timeouts are: TimeoutsOfClusters; absent:
	// the longest of the plan holds for all its attempts. Only FilterRequest says it.
	KeyTimeouts = "x-isthmus-timeouts"
	// KeyOpening says that HeaderOpening leads an attempt to the opening filter:
	// OpeningByRequest; absent: there is none. Only FilterRequest says it.
	KeyOpening = "x-isthmus-opening"
	KeySecret  = "x-isthmus-secret" // the shared secret; other replicas of the service write it too
)

// Values of KeyFilter: the ext_proc filters.
const (
	FilterRequest = "request" // downstream: the client's request and the final answer
	FilterRetry   = "retry"   // upstream: the request of an attempt that is not the first
	FilterFailure = "failure" // upstream: an answer whose status is not 2xx
	FilterOpening = "opening" // upstream: an attempt whose stream may still fail over, until its first content
)

// Values of KeyPlan, after the piece of Envoy that reads the plan.
const (
	PlanPriorityGroup = "priority_group" // the cluster specifier of Envoy 1.40 and later: metadata, for each attempt anew
	PlanComposite     = "composite"      // the cluster of Envoy 1.37 to 1.39: one cluster per first choice, by header
	PlanAggregate     = "aggregate"      // the cluster of Envoy 1.36: the same, each deployment once
)

// Values of KeyLog.
const (
	LogEndings = "endings" // who ended the answers that did not end well
	LogUsage   = "usage"   // that, and the usage of streams that the service does not read
)

// TimeoutsOfClusters is the one value of KeyTimeouts: the cluster of a deployment bounds
// the attempts that do not stream, and the streams of one whose time is shorter than
// another's have a cluster of their own.
const TimeoutsOfClusters = "clusters"

// Headers that the service puts on a request for Envoy. None reaches a provider.
const (
	HeaderHost    = "x-isthmus-host"    // Host of the first attempt, which the route makes :authority (host_rewrite_header)
	HeaderCluster = "x-isthmus-cluster" // cluster of the attempts (cluster_header), with PlanComposite and PlanAggregate
	HeaderIdle    = "x-isthmus-idle-ms" // the longest gap between bytes, in milliseconds: the route to choose
	HeaderUsage   = "x-isthmus-usage"   // UsageByEnvoy: the usage filter is to read this stream
)

// UsageByEnvoy is the one value of HeaderUsage.
const UsageByEnvoy = "envoy"

// Headers that the service puts on a provider's answer, in the failure filter, for
// Envoy's retry policy. Those of a provider are removed before.
const (
	HeaderRetry   = "x-isthmus-retry"   // present: retry this answer (retriable_headers)
	HeaderBackoff = "x-isthmus-backoff" // the pause before that, in whole seconds (reset_headers)
)

// HeaderOpening is what the service puts on the request of each attempt whose answer the
// opening filter is to hold: the filter runs where it is Opening. On an answer it is
// OpeningFailed, which the service puts there. It reaches neither provider nor client.
const HeaderOpening = "x-isthmus-opening"

// Namespaces of dynamic metadata.
const (
	// NamespaceExchange is what is known of a request: the service writes it; the
	// other filters' streams, access logs and rate limits read it. A host of an
	// upstream cluster has the same namespace, with FieldDeployment.
	NamespaceExchange = "isthmus"
	// NamespacePlan is the ordered clusters of the attempts: the service writes it,
	// Envoy's priority_group cluster specifier reads it.
	NamespacePlan = "isthmus.plan"
	// NamespaceAttempt is what the header_mutation filter behind our upstream filters
	// reads, FieldLength: the service writes it.
	NamespaceAttempt = "isthmus.attempt"
	// NamespaceUsage is the usage of a stream, FieldPromptTokens and its like: Envoy's
	// sse_to_metadata filter writes it, the service reads it in access-log entries.
	NamespaceUsage = "isthmus.usage"
)

// Fields of NamespaceExchange. Each is absent until it is known.
const (
	FieldID            = "id"             // text: the exchange
	FieldReplica       = "replica"        // text: host:port of the replica that has the exchange
	FieldAttempts      = "attempts"       // number: attempts made
	FieldModel         = "model"          // text: the name the client asked for
	FieldDeployment    = "deployment"     // text: id of the deployment that answered
	FieldProvider      = "provider"       // text: its provider
	FieldModelGroup    = "model_group"    // text: its model group
	FieldUpstreamModel = "upstream_model" // text: the model's name at the provider
	FieldUnread        = "unread"         // text: Unread where Envoy carries the answer's body past the service
)

// Unread is the one value of FieldUnread.
const Unread = "1"

// Fields of NamespaceExchange and of NamespaceUsage; all are numbers.
const (
	FieldPromptTokens     = "prompt_tokens"
	FieldCompletionTokens = "completion_tokens"
	FieldTotalTokens      = "total_tokens"
)

// TagFirstBody is the custom tag of access-log entries that says when the body of the
// answer began: milliseconds from the request's begin, as text; "": it never did.
const TagFirstBody = "first_body_ms"

// FieldLength is the one field of NamespaceAttempt, as text: the content-length of a
// retried attempt's request.
const FieldLength = "length"

// HeaderRequestID and HeaderCallID are the response headers with the id of an exchange;
// LiteLLM's clients read the second.
const (
	HeaderRequestID = "x-isthmus-request-id"
	HeaderCallID    = "x-litellm-call-id"
)

// Values of HeaderOpening.
const (
	Opening       = "1"      // on a request: its answer is held until the first content
	OpeningFailed = "failed" // on an answer: the opening filter has made a failure of it
)

// OpeningByRequest is the one value of KeyOpening.
const OpeningByRequest = "request"

// AttributeDeployment is the attribute that holds FieldDeployment of the host that
// Envoy has chosen. The retry filter is told to send it, where Envoy walks a fixed
// order of clusters.
const AttributeDeployment = "xds.upstream_host_metadata.filter_metadata['" + NamespaceExchange + "']['" + FieldDeployment + "']"

// Attributes of Envoy's own that the filters are told to send with their messages.
const (
	AttributeAttempt = "upstream.request_attempt_count" // number: which attempt this is, from 1
	AttributeDetails = "response.code_details"          // text: who made the answer and why; "via_upstream": the provider
)

// EndCluster is the cluster after the last one of every plan: the service writes
// it into NamespacePlan, and Envoy's routes default to it. No such cluster exists:
// it stops the cascade, where Envoy would otherwise repeat the last cluster until
// its retries are used up.
const EndCluster = "isthmus-end"
