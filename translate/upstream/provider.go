package upstream

// Provider is what is known of a provider before any deployment of it: its names,
// its address and the environment variables people set for it.
type Provider struct {
	Name     string   // in the model config, and the prefix of its models there
	Aliases  []string // other prefixes that mean it
	Base     string   // default api_base; "" when it must be configured
	KeyVars  []string // where the key comes from when the model config has none; the first is the usual one
	BaseVars []string // the same for api_base
	Keyless  bool     // works without a key
	// OwnAddress: the address is always the user's own (Azure), so that the key
	// of the environment is meant for it.
	OwnAddress bool
	// Models are the beginnings of model names that are no other provider's, so that
	// they need no prefix.
	Models []string
	// Example is a model that all its customers can use; "" where models differ from
	// customer to customer.
	Example string
	// System is its name in OpenTelemetry's GenAI conventions; "" is Name.
	System string
}
