package envoy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAddressesToListenAt(t *testing.T) {
	for text, want := range map[string]Address{
		"127.0.0.1:4000":         {Host: "127.0.0.1", Port: 4000},
		":4000":                  {Host: "0.0.0.0", Port: 4000},
		"localhost:0":            {Host: "127.0.0.1"},
		"[::1]:4000":             {Host: "::1", Port: 4000},
		"[2001:DB8:0::7]:1":      {Host: "2001:db8::7", Port: 1},
		"unix:///run/i/ext.sock": {Path: "/run/i/ext.sock"},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("ParseAddress(%q) = %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which reads as %+v, %v", text, got, again, err)
		}
		if target, err := ParseTarget(text); err != nil || target != want {
			t.Errorf("ParseTarget(%q) = %+v, %v; want %+v", text, target, err, want)
		}
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "unix:///path or IP:PORT",
		"4000":                                "unix:///path or IP:PORT",
		"127.0.0.1":                           "unix:///path or IP:PORT",
		"127.0.0.1:70000":                     "unix:///path or IP:PORT",
		"example.com:4000":                    "unix:///path or IP:PORT",
		"my.localhost:4000":                   "unix:///path or IP:PORT",
		"::1:4000":                            "unix:///path or IP:PORT",
		"[fe80::1%eth0]:4000":                 "unix:///path or IP:PORT",
		"unix://":                             "whole path",
		"unix://run/ext.sock":                 "whole path",
		"unix:///" + strings.Repeat("x", 103): "longer than the 103 bytes",
	} {
		if got, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseAddress(%q) = %+v, %v; want …%s…", text, got, err, want)
		}
	}
}

func TestAddressesToConnectTo(t *testing.T) {
	for text, want := range map[string]Address{
		"isthmus.llm.svc:9100": {Host: "isthmus.llm.svc", Port: 9100},
		"ISTHMUS.:9100":        {Host: "isthmus", Port: 9100},
		"bücher.example:1":     {Host: "xn--bcher-kva.example", Port: 1},
	} {
		got, err := ParseTarget(text)
		if err != nil || got != want || !got.named() {
			t.Errorf("ParseTarget(%q) = %+v (named: %t), %v; want %+v", text, got, got.named(), err, want)
		}
	}
	for text, want := range map[string]string{
		"isthmus":             "IP:PORT or NAME:PORT",
		"isthmus:":            "1 to 65535",
		"isthmus:0":           "1 to 65535",
		"isthmus:http":        "1 to 65535",
		":9100:9100":          "NAME:PORT",
		"a b:9100":            "not a host name",
		"a|b:9100":            "not a host name",
		"[fe80::1%eth0]:9100": "no zone",
		"unix://x":            "whole path",
	} {
		if got, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTarget(%q) = %+v, %v; want …%s…", text, got, err, want)
		}
	}
}

func TestTheEndpointOfAURL(t *testing.T) {
	for url, want := range map[string]endpoint{
		"https://api.openai.com/v1":            {"api.openai.com", 443, true},
		"https://API.OpenAI.com./v1":           {"api.openai.com", 443, true},
		"http://localhost:11434":               {"localhost", 11434, false},
		"http://10.0.0.7/v1":                   {"10.0.0.7", 80, false},
		"https://gateway.example.com:8443/a/b": {"gateway.example.com", 8443, true},
		"http://[::1]:8000/v1":                 {"::1", 8000, false},
		"https://[2001:DB8:0::7]/v1":           {"2001:db8::7", 443, true},
		"https://bücher.example/v1":            {"xn--bcher-kva.example", 443, true},
		"http://my_vllm:8000":                  {"my_vllm", 8000, false},
	} {
		got, err := Upstream{Deployment: "d", URL: url}.parseEndpoint()
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(endpoint{})); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", url, err, diff)
		}
	}
}

func TestAURLThatLeadsNowhereIsRefusedByTheDeploymentsName(t *testing.T) {
	for url, want := range map[string]string{
		"":                              "not a URL with a host",
		"api.openai.com/v1":             "not a URL with a host",
		"https:///v1":                   "not a URL with a host",
		"http://user:canary@%zz/":       "not a URL with a host",
		"ftp://example.com":             `scheme "ftp"`,
		"https://example.com:0/v1":      "1 to 65535",
		"https://example.com:70000/v1":  "1 to 65535",
		"http://[fe80::1%25eth0]:1/v1":  "no zone",
		"https://\u2260.\u200dexample/": "not a host name",
	} {
		_, err := Upstream{Deployment: "gpt-1", URL: url}.parseEndpoint()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "deployment gpt-1: ") ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v; want …%s…", url, err, want)
		}
	}
}
