package secret

import "strings"

// shape is how a kind of key begins, or what stands before one.
type shape struct {
	start string // in lower case unless exact
	exact bool   // a key's own beginning, whose case counts; else a name before a key
	least int    // bytes of a key after its beginning, or of what a name stands before, at least
	query bool   // a name that means a key only in a URL's query: ?name= or &name=
	word  bool   // a scheme, with a space before its key
	bare  bool   // a name in a sentence, which needs no colon
}

// shapes lists the keys that can be told from other words, by their makers'
// prefixes, and the names that stand before keys. It is conservative: what is
// hidden without need makes an error useless.
func shapes() []shape {
	var out []shape
	key := func(least int, starts ...string) {
		for _, s := range starts {
			out = append(out, shape{start: s, exact: true, least: least})
		}
	}
	key(8, "sk-")                                    // OpenAI, Anthropic, OpenRouter, LiteLLM, Langfuse …
	key(20, "AIza", "AQ.")                           // Google
	key(12, "ya29.", "glpat-", "csk-", "eyJ")        // Google, GitLab, Cerebras, JWT
	key(16, "ghp_", "gho_", "ghu_", "ghs_", "ghr_")  // GitHub
	key(16, "github_pat_", "hf_", "gsk_", "r8_")     // GitHub, Hugging Face, Groq, Replicate
	key(16, "xai-", "pplx-", "nvapi-", "fw_", "tgp") // xAI, Perplexity, NVIDIA, Fireworks, Together
	key(16, "AKIA", "ASIA")                          // AWS
	key(16, "pcsk_", "sk_live_", "sk_test_")         // Pinecone, Stripe
	key(10, "xoxb-", "xoxp-", "xoxa-", "xoxe-", "xoxr-", "xoxs-")
	for _, name := range []string{
		"key", "api_key", "api-key", "apikey", "token", "access_token", "sig", "signature", "auth", "code", "password", "secret",
		"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature",
	} {
		out = append(out, shape{start: name, query: true})
	}
	for _, name := range []string{
		"api-key", "api_key", "apikey", "x-api-key", "x-goog-api-key", "x-litellm-api-key", "authorization", "proxy-authorization", "cookie",
		"access_token", "access-token", "refresh_token", "id_token", "client_secret", "client-secret", "password", "passwd", "secret",
		"secret_key", "secret_access_key", "secretaccesskey", "aws_secret_access_key", "aws_session_token", "sessiontoken",
		"x-amz-security-token",
		"subscription-key", "ocp-apim-subscription-key", "key provided", "master_key", "openai_key",
	} {
		out = append(out, shape{start: name})
	}
	out = append(out, shape{start: "token", least: 16})
	for _, name := range []string{"api key", "access key", "secret key", "subscription key", "api token", "access token", "auth token"} {
		out = append(out, shape{start: name, bare: true})
	}
	for _, scheme := range []string{"bearer", "basic"} {
		out = append(out, shape{start: scheme, word: true})
	}
	return out
}

// hideKeys hides what looks like a key, in one pass.
func (r *Redactor) hideKeys(s string) string {
	var out strings.Builder
	last := 0
	for i := 0; i < len(s); i++ {
		from, to := r.keyAt(s, i)
		if to <= from {
			continue
		}
		out.WriteString(s[last:from])
		out.WriteString(hidden)
		last, i = to, to-1
	}
	if last == 0 {
		return s
	}
	out.WriteString(s[last:])
	return out.String()
}

// keyAt is where the key is that s[i] begins, or the name before it; none: 0, 0.
func (r *Redactor) keyAt(s string, i int) (from, to int) {
	c := s[i]
	switch {
	case c == ':' && strings.HasPrefix(s[i:], "://"):
		return userInfo(s, i+len("://"))
	case c == '-' && strings.HasPrefix(s[i:], "-----BEGIN "):
		return privateKey(s, i)
	case i > 0 && isWord(s[i-1]) && s[i-1] != '_':
		return 0, 0
	}
	within := i > 0 && s[i-1] == '_' // of a longer name: OPENAI_API_KEY
	for _, shape := range r.shapes[c] {
		if within && (shape.exact || shape.word) {
			continue
		}
		if from, to = shape.find(s, i); to > from {
			return from, to
		}
	}
	if lower := c | 0x20; lower != c && lower >= 'a' && lower <= 'z' {
		for _, shape := range r.shapes[lower] {
			if !shape.exact && !(within && shape.word) {
				if from, to = shape.find(s, i); to > from {
					return from, to
				}
			}
		}
	}
	return 0, 0
}

// find is where the key is that begins at s[i], or whose name does.
func (h *shape) find(s string, i int) (from, to int) {
	end := i + len(h.start)
	if len(s) <= end {
		return 0, 0
	}
	if h.exact {
		if s[i:end] != h.start {
			return 0, 0
		}
		to = i + len(strings.TrimRight(s[i:span(s, end, isKey)], ".-"))
		if to-end < h.least || h.start != "sk-" && isWords(s[end:to]) {
			return 0, 0
		}
		return i, to
	}
	if !strings.EqualFold(s[i:end], h.start) || isWord(s[end]) {
		return 0, 0
	}
	switch {
	case h.query:
		if i == 0 || s[i-1] != '?' && s[i-1] != '&' || s[end] != '=' {
			return 0, 0
		}
		return end + 1, span(s, end+1, inQuery)
	case h.word:
		from = span(s, end, isSpace)
		to = span(s, from, inToken)
		if from == end || to-from < 8 {
			return 0, 0
		}
	default:
		if from, to = h.after(s, end); to <= from {
			return 0, 0
		}
	}
	if to-from < h.least || !looksRandom(s[from:to]) {
		return 0, 0
	}
	return from, to
}

// after is where the value is that follows a name which ends at s[end]; none: 0, 0.
func (h *shape) after(s string, end int) (from, to int) {
	from = span(s, end, isFrame)
	named := from < len(s) && (s[from] == ':' || s[from] == '=')
	switch {
	case named:
		from = afterScheme(s, span(s, from+1, isFrame))
	case !h.bare || from == end:
		return 0, 0
	}
	to = from + len(strings.TrimRight(s[from:span(s, from, inValue)], ".!?"))
	if !named && !strings.ContainsAny(s[from:to], "0123456789") {
		return 0, 0 // the next word of the sentence
	}
	return from, to
}

// afterScheme is where the key is in the value of a header, behind its scheme.
func afterScheme(s string, from int) int {
	end := span(s, from, isKey)
	for _, scheme := range []string{"bearer", "basic", "token", "apikey"} {
		if strings.EqualFold(s[from:end], scheme) {
			return span(s, end, isSpace)
		}
	}
	return from
}

// looksRandom reports whether a value is more likely a key than a word of a sentence.
// One with asterisks has been hidden already.
func looksRandom(v string) bool {
	return !strings.Contains(v, "***") && !strings.Contains(v, "://") && !isWords(v) &&
		(len(v) >= 20 || len(v) >= 6 && strings.ContainsAny(v, "0123456789"))
}

// isWords reports whether a value is words and small numbers with hyphens or
// underscores between, as names and the codes of errors are: must_be_set.
func isWords(v string) bool {
	pieces := 0
	for piece := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		letters, digits := 0, 0
		for i := range len(piece) {
			switch c := piece[i]; {
			case c >= 'a' && c <= 'z' || i == 0 && c >= 'A' && c <= 'Z':
				letters++
			case c >= '0' && c <= '9':
				digits++
			default:
				return false
			}
		}
		if letters > 0 && digits > 0 || letters > 16 || digits > 2 {
			return false
		}
		pieces++
	}
	return pieces > 1
}

// userInfo is where the user and the password of a URL are, after its "://".
func userInfo(s string, from int) (int, int) {
	end := span(s, from, inAuthority)
	at := strings.LastIndexByte(s[from:end], '@')
	if at < 0 || !strings.Contains(s[from:from+at], ":") {
		return 0, 0
	}
	return from, from + at
}

// privateKey is where a PEM block with a private key is.
func privateKey(s string, from int) (int, int) {
	line := s[from:min(len(s), from+64)]
	if !strings.Contains(line, "PRIVATE KEY-----") {
		return 0, 0
	}
	if end := strings.Index(s[from:], "-----END "); end >= 0 {
		return from, from + end
	}
	return from, len(s)
}

// span is the end of the bytes from s[i] on that are of a kind.
func span(s string, i int, is func(byte) bool) int {
	for i < len(s) && is(s[i]) {
		i++
	}
	return i
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

func isKey(c byte) bool { return isWord(c) || c == '-' || c == '.' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// isFrame is what may stand between a name, its colon and its value.
func isFrame(c byte) bool { return isSpace(c) || c == '"' || c == '\'' || c == '\\' || c == '`' }

func inToken(c byte) bool { return isKey(c) || c == '~' || c == '+' || c == '/' || c == '=' }

func inValue(c byte) bool {
	return c > ' ' && !strings.ContainsRune("\"'`\\,;&<>(){}[]", rune(c))
}

func inQuery(c byte) bool { return c > ' ' && !strings.ContainsRune("\"'`\\&#<>", rune(c)) }

func inAuthority(c byte) bool { return c > ' ' && !strings.ContainsRune("\"'`\\/?#<>", rune(c)) }
