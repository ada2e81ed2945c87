package process

import (
	"slices"
	"strings"
)

// environment is what of this process's environment an Envoy gets: what a program
// needs to run at all, and what Envoy's own libraries read. The rest stays here, for
// the keys of providers are in it.
func environment(all []string) []string {
	kept := []string{}
	for _, each := range all {
		name, _, _ := strings.Cut(each, "=")
		if slices.Contains([]string{"PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG"}, name) ||
			slices.ContainsFunc([]string{"LC_", "LD_", "DYLD_", "ENVOY_", "MALLOC_", "TCMALLOC_", "GLIBC_"},
				func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			kept = append(kept, each)
		}
	}
	return kept
}
