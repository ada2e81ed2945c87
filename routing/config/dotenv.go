package config

import (
	"fmt"
	"strings"
)

// parseDotenv reads KEY=VALUE lines: comments, `export `, single and double
// quotes, CRLF, a byte order mark. An error names file and line, never a value.
func parseDotenv(file, text string) (map[string]string, error) {
	vars := map[string]string{}
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		line = strings.TrimSpace(strings.TrimSuffix(line, "\r"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\"'") {
			return nil, fmt.Errorf("%s:%d: want NAME=VALUE", file, i+1)
		}
		value, err := dotenvValue(strings.TrimSpace(value))
		if err != nil {
			if strings.ToUpper(name) != name {
				name = "a variable" // it may be a part of another file than was meant
			}
			return nil, fmt.Errorf("%s:%d: %s: %w", file, i+1, name, err)
		}
		vars[name] = value
	}
	return vars, nil
}

func dotenvValue(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	switch quote := s[0]; quote {
	case '"', '\'':
		end := strings.IndexByte(s[1:], quote)
		if end < 0 {
			return "", fmt.Errorf("the quote is not closed")
		}
		if rest := strings.TrimSpace(s[end+2:]); rest != "" && !strings.HasPrefix(rest, "#") {
			return "", fmt.Errorf("text after the closing quote")
		}
		value := s[1 : end+1]
		if quote == '"' {
			value = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(value)
		}
		return value, nil
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s, nil
}
