package extproc

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

const openModel = "model_list:\n- model_name: m\n  litellm_params: {model: openai/up, api_key: k, api_base: \"http://up.example/v1\"}\n"

// TestAPageOfAnotherSiteSpendsNothing where nobody is asked for a key. Clients that
// are no browsers, and pages that have leave, are served.
func TestAPageOfAnotherSiteSpendsNothing(t *testing.T) {
	open := newHouse(t, openModel)
	listed := newHouse(t, openModel)
	listed.runtime.Use(listed.router, Settings{Origins: []string{"https://chat.example"}})
	every := newHouse(t, openModel)
	every.runtime.Use(every.router, Settings{Origins: []string{"*"}})
	keyed := newHouse(t, openModel+"general_settings: {master_key: sk-master-key}\n")
	for name, tc := range map[string]struct {
		house  *house
		header []string
		status int // 0: it goes on
	}{
		"no browser": {open, nil, 0},
		"a foreign page's simple request": {
			open, []string{"origin", "http://evil.example", "sec-fetch-site", "cross-site", "content-type", "text/plain"}, 403,
		},
		"one of an old browser":       {open, []string{"origin", "http://evil.example"}, 403},
		"one without an origin":       {open, []string{"sec-fetch-site", "cross-site"}, 403},
		"one of the same site":        {open, []string{"origin", "http://other.gateway", "sec-fetch-site", "same-site"}, 403},
		"a sandboxed frame or a file": {open, []string{"origin", "null"}, 403},
		"a page on another port":      {open, []string{"origin", "http://127.0.0.1:8080", ":authority", "127.0.0.1:4000"}, 403},
		"an https page of the same name": {
			open, []string{"origin", "https://127.0.0.1:4000", ":authority", "127.0.0.1:4000", "sec-fetch-site", "same-site"}, 403,
		},
		"a rebound name": {
			open, []string{"origin", "http://evil.example:4000", ":authority", "evil.example:4000", "sec-fetch-site", "same-origin"}, 403,
		},
		"a page of the gateway's own address": {
			open, []string{"origin", "http://127.0.0.1:4000", ":authority", "127.0.0.1:4000", "sec-fetch-site", "same-origin"}, 0,
		},
		"a page of localhost": {open, []string{"origin", "http://localhost:4000", ":authority", "localhost:4000"}, 0},
		"a page of IPv6":      {open, []string{"origin", "http://[::1]:4000", ":authority", "[::1]:4000"}, 0},
		"a page under TLS": {
			open, []string{"origin", "https://llm.example.com", ":authority", "llm.example.com:443"}, 0,
		},
		"a page of a cluster's service": {open, []string{"origin", "http://isthmus", ":authority", "isthmus:80"}, 0},
		"an editor's web view":          {open, []string{"origin", "vscode-webview://0a1b2c", "sec-fetch-site", "cross-site"}, 0},
		"an application's":              {open, []string{"origin", "app://obsidian.md", "sec-fetch-site", "cross-site"}, 0},
		"an extension's":                {open, []string{"origin", "chrome-extension://abc", "sec-fetch-site", "none"}, 0},
		"a listed page":                 {listed, []string{"origin", "https://chat.example", "sec-fetch-site", "cross-site"}, 0},
		"one that is not listed": {
			listed, []string{"origin", "https://chat.example.evil", "sec-fetch-site", "cross-site"}, 403,
		},
		"any page, where all may":        {every, []string{"origin", "https://any.example", "sec-fetch-site", "cross-site"}, 0},
		"a foreign page without the key": {keyed, []string{"origin", "https://evil.example", "cookie", "key=sk-master-key"}, 401},
		"a foreign page that knows the key": {
			keyed, []string{"origin", "https://evil.example", "authorization", "Bearer sk-master-key"}, 0,
		},
		"the key in the URL, which a page can write": {keyed, []string{":path", "/v1/chat/completions?key=sk-master-key"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			header := begun()
			for i := 0; i+1 < len(tc.header); i += 2 {
				header = set(header, tc.header[i], tc.header[i+1])
			}
			got := tc.house.open(names.FilterRequest).ask(requestHeaders(false, header...)).GetImmediateResponse()
			if int(got.GetStatus().GetCode()) != tc.status {
				t.Fatalf("status %d, want %d: %s", got.GetStatus().GetCode(), tc.status, got.GetBody())
			}
			if tc.status == 403 && !strings.Contains(string(got.GetBody()), "cors_allow_origins") {
				t.Errorf("no remedy: %s", got.GetBody())
			}
		})
	}
	reading := open.open(names.FilterRequest).ask(requestHeaders(true, ":method", "GET", ":path", "/v1/models", ":authority", "x",
		"sec-fetch-site", "cross-site"))
	if code := reading.GetImmediateResponse().GetStatus().GetCode(); code != 200 {
		t.Errorf("a link to the model list: %d", code)
	}
}

// set replaces a header of a list of name, value, …, or adds it.
func set(header []string, name, value string) []string {
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == name {
			header[i+1] = value
			return header
		}
	}
	return append(header, name, value)
}
