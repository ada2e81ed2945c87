package envoytest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

func TestAConfigurationIsTakenOrRefusedInEnvoysOwnWords(t *testing.T) {
	b := Envoy(t, process.DefaultVersion)
	for name, tc := range map[string]struct {
		by     process.Binary
		config string
		want   string // of the error; "": none
	}{
		"a good one":       {b, "admin: {address: {pipe: {path: /tmp/x.sock}}}\n", ""},
		"a wrong field":    {b, "static_resources: {listeners: [{nme: x}]}\n", "nme"},
		"without an Envoy": {process.Binary{Path: "/no/envoy"}, "", "/no/envoy"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t.Context(), tc.by, filepath.Join(t.TempDir(), "envoy.yaml"), []byte(tc.config))
			if tc.want == "" && err != nil {
				t.Error(err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("the error is %v, want …%s…", err, tc.want)
			}
		})
	}
}
