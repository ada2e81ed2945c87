package config

import (
	"os"
	"strings"
	"testing"
)

// TestEverySettingIsDocumented keeps docs/configuration.md whole: a setting that
// can be written must be found there.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range settingTable() {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/configuration.md does not mention the setting %s", name)
		}
	}
}
