package anthropic

import "strconv"

// maxName is the longest name of a tool, in bytes.
const maxName = 128

// unique hands out texts that Anthropic takes as a tool's name or a call's id,
// each once. The zero unique is ready.
type unique struct {
	taken map[string]bool
	next  map[string]int // the number to try next, by base
}

// take returns base, or base with the first free number from 2 on.
func (u *unique) take(base string) string {
	if u.taken == nil {
		u.taken, u.next = map[string]bool{}, map[string]int{}
	}
	name := base
	for n := max(u.next[base], 2); u.taken[name]; n++ {
		suffix := "_" + strconv.Itoa(n)
		name = base[:min(len(base), maxName-len(suffix))] + suffix
		u.next[base] = n + 1
	}
	u.taken[name] = true
	return name
}

// plain returns s with "_" for each character that is not a letter of the ASCII
// alphabet, a digit, "_" or "-".
func plain(s string) string {
	if isPlain(s) {
		return s
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r < 0x80 && plainByte(byte(r)) {
			out = append(out, byte(r))
		} else {
			out = append(out, '_')
		}
	}
	return string(out)
}

func isPlain(s string) bool {
	for i := range len(s) {
		if !plainByte(s[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}
