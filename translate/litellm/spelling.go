package litellm

import "strings"

// Spelling is a name as LiteLLM would spell it: client_secret of clientSecret,
// CLIENT-SECRET and "client secret".
func Spelling(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-' || c == ' ':
			c = '_'
		case c >= 'A' && c <= 'Z':
			if i > 0 && (name[i-1] >= 'a' && name[i-1] <= 'z' || name[i-1] >= '0' && name[i-1] <= '9') {
				b.WriteByte('_')
			}
			c |= 0x20
		}
		b.WriteByte(c)
	}
	return b.String()
}
