package config

import (
	"log/slog"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Config is a whole model config with all defaults applied.
type Config struct {
	Deployments []Deployment // in the order of the file
	LeftOut     []LeftOut    // entries that cannot be used for want of a variable
	Unenforced  []string     // names that restrict, which isthmus does not enforce and the user goes on without

	Router    Router
	Limits    Limits
	Cache     Cache
	Redis     Redis
	Callbacks Callbacks

	RedisTimeout   time.Duration // how long Redis may answer no call before it counts as gone; default 100 ms
	MasterKey      secret.Text   // zero: no authentication
	Origins        []string      // of web pages that may read answers: scheme://host[:port], or "*"; default none
	MaxRequestBody int64         // bytes; default 100 MiB
	DropParams     bool          // drop what a provider lacks instead of refusing it; default false
	StreamUsage    bool          // ask streams for usage on the gateway's behalf; default true
	Verbose        bool          // set_verbose, LITELLM_VERBOSE, LITELLM_LOG=DEBUG
	LogLevel       slog.Level    // LITELLM_LOG=WARNING or ERROR: the least that is logged; default info
	JSONLogs       bool

	envRedis    Redis       // what the environment alone says
	envProblems Diagnostics // wrong values in the environment
	aliases     []value     // model_group_alias and fallbacks, until all groups are known
	perGroup    []value     // the groups that other settings name, until then
	noCache     bool        // its type is one that isthmus does not have
}

// LeftOut is a model_list entry that is not served.
type LeftOut struct {
	ModelName string
	Variable  string // the environment variable that is not set
	File      string
	Line      int
}

// Deployment is one entry of model_list.
type Deployment struct {
	ModelName string // the model group; may hold "*"
	ID        string // model_info.id, or made from the entry; unique
	Line      int

	Provider     string // "openai", "azure", "anthropic", …
	Model        string // the provider's name of the model, or of Azure's deployment; may hold "*"
	APIKey       secret.Text
	AzureADToken secret.Text
	APIBase      string // without a trailing slash
	CustomBase   bool   // APIBase was configured, by the entry or the environment
	APIVersion   string
	Organization string
	BaseModel    string
	Headers      []upstream.ExtraHeader // headers and extra_headers

	Timeout       *time.Duration // one attempt; nil: the router's
	StreamTimeout *time.Duration
	// To a stream's first content, and between pieces after it; nil: the router's.
	TTFTTimeout, StreamIdleTimeout *time.Duration

	NumRetries   *int
	Weight       *float64 // nil: unset
	Order        int      // 0: unset
	Tags         []string
	RPM, TPM     int64 // per minute; 0: no limit
	ITPM, OTPM   int64 // input and output tokens per minute
	MaxParallel  int   // max_parallel_requests; 0: no limit
	CooldownTime *time.Duration
	AllowedFails *int
	// AllowedFailsPolicy is AllowedFails for a class of error; nil: the router's.
	AllowedFailsPolicy map[string]int

	DropParams           *bool // nil: as Config.DropParams
	StreamPassthrough    bool  // its streams may pass without a look
	AdditionalDropParams []string
	AllowedOpenAIParams  []string
	MockResponse         *string
	InputCost            float64 // per token
	OutputCost           float64
	Priced               bool // a cost is given, even if it is 0
	MaxInputTokens       int  // 0: unknown
	Mode                 string

	Defaults []upstream.Param // every other litellm_params member
}

// Router is how deployments are chosen and failures met.
type Router struct {
	Strategy      string        // simple-shuffle, least-busy, latency-based, usage-based, cost-based
	NumRetries    int           // attempts after the first, per group; default 2
	RetryAfter    time.Duration // least pause before the same deployment again; default 0
	Timeout       time.Duration // one attempt to its response headers; default 600 s
	StreamTimeout time.Duration // the same for streams; 0: Timeout
	TTFTTimeout   time.Duration // of a stream to its first content; 0: the attempt's time
	// StreamIdleTimeout is the longest gap of a stream after that; 0: the attempt's time.
	StreamIdleTimeout time.Duration
	StreamFailover    bool          // another attempt may answer until a stream's first content; default true
	RequestTimeout    time.Duration // all attempts together; 0: none
	AllowedFails      int           // the n-th failure within FailureWindow cools down; default 3
	FailureWindow     time.Duration // default 60 s
	CooldownTime      time.Duration // default 5 s; 0: never
	// AllowedFailsPolicy is AllowedFails for a class of error, which then counts by
	// itself: error class → failures.
	AllowedFailsPolicy map[string]int
	MaxFallbacks       int // default 5

	Aliases               []Alias
	Fallbacks             map[string][]Target
	DefaultFallbacks      []Target
	ContextWindowFallback map[string][]string
	ContentPolicyFallback map[string][]string

	RetryPolicy       map[string]int            // error class → retries
	GroupRetryPolicy  map[string]map[string]int // model group → the same
	RetryBudgetShare  float64                   // retries per request; default 0.2
	RetryBudgetFloor  int                       // retries per second that are always allowed; default 20
	PreCallChecks     bool
	TagFiltering      bool
	TagFilteringAny   bool                   // default true
	GroupLimits       map[string]SharedLimit // of all deployments of a model group together
	StrategyArguments map[string]float64
}

// Alias is another name for a model group, or for a cascade of several.
type Alias struct {
	Name    string
	Hidden  bool // not in /v1/models
	Targets []Target
}

// Target is one stage of a cascade: a model group, or, with Model set, that
// group's deployments asked for another model of their provider.
type Target struct {
	Group string
	Model string
}

// Limits are those over all models.
type Limits struct {
	MaxParallelRequests int // 0: none
	QueueEnabled        bool
	QueueMaxSize        int           // default 1000
	QueueTimeout        time.Duration // default 30 s

	TenantHeader string      // the header that names the caller; "": callers are not told apart
	Tenant       SharedLimit // of each caller
}

// SharedLimit is what a caller or a model group may use, per minute and at the same
// time; 0: no limit.
type SharedLimit struct {
	RPM, TPM, ITPM, OTPM int64
	MaxParallel          int
}

// Cache is the response cache.
type Cache struct {
	Enabled      bool
	Type         string        // local or redis
	TTL          time.Duration // default 60 s for redis, 600 s for local
	Namespace    string
	OptIn        bool // mode: default_off
	CallTypes    []string
	MaxEntrySize int64 // bytes; default 1 MiB
	MaxSize      int64 // bytes of the local cache; default 256 MiB
}

// Redis is the shared store, for the cache and for limits; zero: none.
type Redis struct {
	URL           string // redis://, rediss://; wins over Host and Port
	Host          string
	Port          int
	Username      string
	Password      secret.Text
	TLS           bool   // also by a URL that begins with rediss://
	CAFile        string // PEM: whom to trust; "": whom the system trusts
	CertFile      string // PEM: our own certificate, for a server that asks for one
	KeyFile       string // PEM: its key
	Insecure      bool   // any certificate of the server will do
	DB            int
	ClusterNodes  []string // host:port
	SentinelNodes []string
	SentinelName  string
}

// Configured reports whether there is a Redis to talk to.
func (r Redis) Configured() bool {
	return r.URL != "" || r.Host != "" || len(r.ClusterNodes) > 0 || len(r.SentinelNodes) > 0
}

// Callbacks are the sinks of finished requests.
type Callbacks struct {
	Success []string // canonical names: langfuse, mlflow, webhook, prometheus, otel, exec:<command>
	Failure []string

	Langfuse       Langfuse
	MLflow         MLflow
	Webhook        Webhook
	RedactMessages bool   // turn_off_message_logging
	SpillDir       string // folder for records that memory has no room for; "": none are written
}

// Langfuse says where traces go.
type Langfuse struct {
	PublicKey string
	SecretKey secret.Text
	Host      string // default https://cloud.langfuse.com
}

// MLflow says where traces go.
type MLflow struct {
	TrackingURI    string
	ExperimentName string
	Username       string
	Password       secret.Text
	Token          secret.Text // instead of user and password
}

// Webhook says where records are posted.
type Webhook struct {
	URL        string
	Headers    []upstream.ExtraHeader
	Secret     secret.Text // signs the body
	Format     string      // json_array (default), ndjson, single
	EventTypes []string
}
