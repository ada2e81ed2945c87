package config

import (
	"net/url"
	"strings"
)

// origins reads the origins of web pages: a list, or one text with commas, as the
// environment has it.
func (v value) origins(into *[]string) {
	var out []string
	for _, item := range v.items() {
		text, ok := item.scalar("the origin of web pages")
		if !ok {
			continue
		}
		for _, origin := range strings.Split(text, ",") {
			if origin = strings.TrimSuffix(strings.TrimSpace(origin), "/"); origin == "*" || isOrigin(origin) {
				out = append(out, origin)
				continue
			}
			item.fail(`want "*", or an origin as a browser sends it, such as https://chat.example.com, got %q`, origin)
		}
	}
	*into = out
}

// isOrigin reports whether a text is the origin of a page: scheme and host, in lower
// case, and the port when it is not the scheme's own.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != "" && s == strings.ToLower(u.Scheme+"://"+u.Host) &&
		!(u.Scheme == "https" && u.Port() == "443") && !(u.Scheme == "http" && u.Port() == "80")
}
