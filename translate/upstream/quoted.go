package upstream

import "strings"

// Providers quote in their errors the value that they refuse, or the whole request, and a
// client may write any sentence there. What is quoted is therefore not searched for the
// sentences of providers. What a proxy quotes of the message of the provider behind it is,
// and so is a message that stands in quotes as a whole.

// unquoted is a message without what stands between quotes in it; the quotes stay. A name
// between backquotes stays too.
func unquoted(text string) string {
	if !strings.ContainsAny(text, "\"'`“") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		end, length := quotedAt(text, i)
		if end < 0 {
			if text[i] == '\\' && i+1 < len(text) { // what is escaped opens nothing
				out = append(out, text[i])
				i++
			}
			out = append(out, text[i])
			i++
			continue
		}
		inside := text[i+length : end]
		out = append(out, text[i:i+length]...)
		switch {
		case text[i] == '`' && !strings.ContainsRune(inside, ' '), i == 0 && end+length >= len(text):
			out = append(out, inside...)
		case isMessage(text[:i]):
			out = append(out, unquoted(inside)...)
		}
		closed := min(end+length, len(text))
		out = append(out, text[min(end, len(text)):closed]...)
		i = closed
	}
	return string(out)
}

// quotedAt reports whether a quotation begins at i: where it ends, at its closing quote or
// with the text, and how long each quote is. end is -1 where none begins.
func quotedAt(text string, i int) (end, length int) {
	switch c := text[i]; {
	case strings.HasPrefix(text[i:], "“"):
		if n := strings.Index(text[i:], "”"); n >= 0 {
			return i + n, len("“")
		}
		return len(text), len("“")
	case c != '"' && c != '`' && c != '\'':
		return -1, 0
	case c == '\'' && i > 0 && isWordByte(text[i-1]):
		return -1, 0 // an apostrophe
	}
	for j := i + 1; j < len(text); j++ {
		switch {
		case text[j] == '\\':
			j++
		case text[j] == text[i] && (text[i] != '\'' || j+1 == len(text) || !isWordByte(text[j+1])):
			return j, 1
		}
	}
	return len(text), 1
}

// isWordByte reports whether a byte is of a word, so that an apostrophe beside it is no quote.
func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// isMessage reports whether what follows this text is the value of a member that has an
// error's message, as JSON or Python write it.
func isMessage(before string) bool {
	before, ok := strings.CutSuffix(strings.TrimRight(before, " "), ":")
	if !ok {
		return false
	}
	for _, name := range []string{"message", "msg", "detail", "error"} {
		if strings.HasSuffix(before, `"`+name+`"`) || strings.HasSuffix(before, "'"+name+"'") {
			return true
		}
	}
	return false
}
