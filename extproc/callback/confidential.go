package callback

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// confidential reports whether a member of a request holds a credential by its name,
// or headers, which may. LiteLLM's clients send keys and headers of their own with a
// request; those at the top reach neither provider nor record, but they are written
// into extra_body, metadata and the tools that name a server, too.
func confidential(name string) bool {
	switch name = litellm.Spelling(name); name {
	case "headers", "extra_headers", "default_headers", "http_headers", "authorization", "proxy_authorization", "cookie", "cookies",
		"apikey", "x_api_key", "token", "access_token", "refresh_token", "id_token", "auth", "bearer",
		"password", "passwd", "secret", "secrets", "secret_fields", "secret_key", "private_key", "credentials", "credential",
		"server_url", // of an MCP server: some have their key in it
		"api_base", "base_url", "proxy_server_request", "user_config", "litellm_params", "litellm_metadata", "user_api_key", "model_list":
		return true
	}
	for _, end := range []string{"api_key", "_secret", "_password", "_secret_key", "access_key", "access_key_id", "_token", "_credentials"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// hasSchemas lists the members of a request in which a schema may stand.
func hasSchemas(name string) bool {
	switch name {
	case "tools", "functions", "response_format", "text", "text_format", "json_schema", "schema", "guided_json", "structured_outputs":
		return true
	}
	return false
}

// isSchema reports whether a member is a JSON schema, whose members' names say what a
// model is to write: "password" is no password there.
func isSchema(name string) bool {
	switch name {
	case "parameters", "input_schema", "json_schema", "schema", "properties":
		return true
	}
	return false
}

// withoutCredentials is a value without its confidential members, at any depth. It is
// v itself where there are none. schemas: those in it stay whole.
func withoutCredentials(v jsontext.Value, schemas bool) jsontext.Value {
	if !namesCredentials(v) {
		return v
	}
	d := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	out, ok := appendWithout(nil, d, schemas)
	if !ok {
		return nil
	}
	return out
}

func namesCredentials(v jsontext.Value) bool {
	for name := range jsonedit.Names(v) {
		if confidential(string(name)) || bytes.IndexByte(name, '\\') >= 0 {
			return true
		}
	}
	return false
}

// appendWithout copies the next value; false: it is no JSON.
func appendWithout(dst []byte, d *jsontext.Decoder, schemas bool) ([]byte, bool) {
	kind := d.PeekKind()
	if kind != '{' && kind != '[' {
		v, err := d.ReadValue()
		return append(dst, v...), err == nil
	}
	if _, err := d.ReadToken(); err != nil {
		return dst, false
	}
	dst = append(dst, byte(kind))
	empty := len(dst)
	for next := d.PeekKind(); next != '}' && next != ']'; next = d.PeekKind() {
		before := len(dst)
		if before > empty {
			dst = append(dst, ',')
		}
		if kind == '{' {
			token, err := d.ReadToken()
			if err != nil {
				return dst, false
			}
			name := token.String()
			if confidential(name) {
				if dst = dst[:before]; d.SkipValue() != nil {
					return dst, false
				}
				continue
			}
			dst = append(jsonedit.AppendString(dst, name), ':')
			if schemas && isSchema(name) {
				v, err := d.ReadValue()
				if dst = append(dst, v...); err != nil {
					return dst, false
				}
				continue
			}
		}
		var ok bool
		if dst, ok = appendWithout(dst, d, schemas); !ok {
			return dst, false
		}
	}
	token, err := d.ReadToken()
	return append(dst, token.String()...), err == nil
}
