package upstream

// Provider is what is known of a provider before any deployment of it: its name
// in the model config, its address and the environment variables people set for
// it.
type Provider struct {
	Name     string
	Base     string   // default api_base; "" when it must be configured
	KeyVars  []string // where the key comes from when the model config has none; the first is the usual one
	BaseVars []string // the same for api_base
	Keyless  bool     // works without a key
	// OwnAddress: the address is always the user's own (Azure), so that the key
	// of the environment is meant for it.
	OwnAddress bool
}
