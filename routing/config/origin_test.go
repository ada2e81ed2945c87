package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

func TestOriginsAreAListOrOneText(t *testing.T) {
	for setting, want := range map[string][]string{
		"":                   {"https://env.example"},
		"[]":                 nil,
		"'*'":                {"*"},
		"https://a.example/": {"https://a.example"},
		"[https://a.example:8443, 'http://[::1]:3000']":        {"https://a.example:8443", "http://[::1]:3000"},
		"'https://a.example, http://localhost:3000'":           {"https://a.example", "http://localhost:3000"},
		"chrome-extension://abcdefghijklmnop":                  {"chrome-extension://abcdefghijklmnop"},
		"[https://a.example, os.environ/LITELLM_CORS_ORIGINS]": {"https://a.example", "https://env.example"},
	} {
		text := oneModel
		if setting != "" {
			text += "general_settings: {cors_allow_origins: " + setting + "}\n"
		}
		c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: func(name string) (string, bool) {
			return "https://env.example", name == "LITELLM_CORS_ORIGINS"
		}})
		if err != nil {
			t.Errorf("%s: %v", setting, err)
			continue
		}
		if diff := cmp.Diff(want, c.Origins); diff != "" {
			t.Errorf("%s (-want +got):\n%s", setting, diff)
		}
	}
}
