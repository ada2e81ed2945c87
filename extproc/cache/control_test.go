package cache_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func controls(t *testing.T, members, header string) (cache.Controls, error) {
	t.Helper()
	if members != "" {
		members = "," + members
	}
	return cache.ReadControls(chatRequest(t, `{"model":"m",`+hello+members+`}`), upstream.Header{{Name: "cache-control", Value: header}})
}

func TestEachControlMeansWhatItSays(t *testing.T) {
	off := cache.Controls{NoCache: true, NoStore: true}
	for name, c := range map[string]struct {
		members, header string
		want            cache.Controls
	}{
		"nothing":                  {},
		"cache: false":             {members: `"cache":false`, want: off},
		"cache: true":              {members: `"cache":true`, want: cache.Controls{UseCache: true}},
		"cache: null":              {members: `"cache":null`},
		"caching: false":           {members: `"caching":false`, want: off},
		"caching: true":            {members: `"caching":true`, want: cache.Controls{UseCache: true}},
		"no-cache":                 {members: `"cache":{"no-cache":true}`, want: cache.Controls{NoCache: true}},
		"no-cache: false":          {members: `"cache":{"no-cache":false,"ttl":null}`},
		"no-store":                 {members: `"cache":{"no-store":true}`, want: cache.Controls{NoStore: true}},
		"ttl":                      {members: `"cache":{"ttl":1.5}`, want: cache.Controls{TTL: 1500 * time.Millisecond}},
		"a ttl of a million years": {members: `"cache":{"ttl":1e13}`, want: cache.Controls{TTL: 100 * 365 * 24 * time.Hour}},
		"s-maxage":                 {members: `"cache":{"s-maxage":10}`, want: cache.Controls{MaxAge: 10 * time.Second}},
		"s-max-age":                {members: `"cache":{"s-max-age":10}`, want: cache.Controls{MaxAge: 10 * time.Second}},
		"s-maxage: 0 is no-cache":  {members: `"cache":{"s-maxage":0}`, want: cache.Controls{NoCache: true}},
		"namespace":                {members: `"cache":{"namespace":"team-1"}`, want: cache.Controls{Namespace: "team-1"}},
		"use-cache":                {members: `"cache":{"use-cache":true}`, want: cache.Controls{UseCache: true}},
		"header no-cache":          {header: "no-cache", want: cache.Controls{NoCache: true}},
		"header no-store":          {header: "No-Store", want: cache.Controls{NoStore: true}},
		"header max-age":           {header: "max-age=60", want: cache.Controls{MaxAge: time.Minute}},
		"header max-age=0":         {header: "max-age=0", want: cache.Controls{NoCache: true}},
		"a header of several": {header: `no-transform, MAX-AGE="7" ,no-store,,`,
			want: cache.Controls{NoStore: true, MaxAge: 7 * time.Second}},
		"the lower age holds": {members: `"cache":{"s-maxage":10}`, header: "max-age=60",
			want: cache.Controls{MaxAge: 10 * time.Second}},
		"header and body add up":       {members: `"cache":{"no-store":true}`, header: "no-cache", want: off},
		"directives of responses pass": {header: "public, must-revalidate, max-stale=5"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := controls(t, c.members, c.header)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("err = %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAWrongControlIsA400ThatNamesIt(t *testing.T) {
	long := strings.Repeat("n", 200)
	for members, name := range map[string]string{
		`"cache":1`:                            "cache",
		`"cache":"no"`:                         "cache",
		`"cache":[true]`:                       "cache",
		`"caching":"yes"`:                      "caching",
		`"cache":{"no-cache":1}`:               "cache.no-cache",
		`"cache":{"no-store":"x"}`:             "cache.no-store",
		`"cache":{"use-cache":[]}`:             "cache.use-cache",
		`"cache":{"ttl":"60"}`:                 "cache.ttl",
		`"cache":{"ttl":0}`:                    "cache.ttl",
		`"cache":{"ttl":-1}`:                   "cache.ttl",
		`"cache":{"s-maxage":-1}`:              "cache.s-maxage",
		`"cache":{"s-maxage":true}`:            "cache.s-maxage",
		`"cache":{"namespace":""}`:             "cache.namespace",
		`"cache":{"namespace":5}`:              "cache.namespace",
		`"cache":{"namespace":"a b"}`:          "cache.namespace",
		`"cache":{"namespace":"a\u0000"}`:      "cache.namespace",
		`"cache":{"no_cache":true}`:            "cache.no_cache",
		`"cache":{"namespace":"` + long + `"}`: "cache.namespace",
	} {
		_, err := controls(t, members, "")
		var e *upstream.Error
		if !errors.As(err, &e) || e.Status != 400 || e.Param != name || !strings.Contains(e.Message, name) {
			t.Errorf("%s: %v", members, err)
		}
	}
	_, err := controls(t, "", "max-age=soon")
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Message, "max-age") {
		t.Errorf("header: %v", err)
	}
}

func TestCallTypesAreNamedInLiteLLMsWords(t *testing.T) {
	types, unknown := cache.ReadCallTypes([]string{"acompletion", "embedding", "nonsense"})
	if diff := cmp.Diff([]string{"nonsense"}, unknown); diff != "" {
		t.Error(diff)
	}
	for body, c := range map[string]struct {
		endpoint chat.Endpoint
		named    bool // by the types above
		all      bool // by the zero value
	}{
		`{"model":"m",` + hello + `}`:                  {chat.Completions, true, true},
		`{"model":"m",` + hello + `,"stream":true}`:    {chat.Completions, true, true},
		`{"model":"m","input":"x"}`:                    {chat.Embeddings, true, true},
		`{"model":"m","prompt":"x"}`:                   {chat.TextCompletions, false, true},
		`{"model":"m","input":"x","background":false}`: {chat.Responses, false, true},
		`{"model":"m","input":"x","background":true}`:  {chat.Responses, false, false},
		`{"model":"m","input":"x","conversation":"c"}`: {chat.Responses, false, false},
		`{"model":"m","input":"x","stream":true}`:      {chat.Responses, false, false},
		`{"model":"m","query":"x"}`:                    {chat.Rerank, false, true},
		`{"model":"m","input":"moderate"}`:             {chat.Moderations, false, true},
		`{"model":"m","prompt":"picture"}`:             {chat.Images, false, false},
		`{"model":"m","input":"say it"}`:               {chat.Speech, false, false},
	} {
		req := parse(t, c.endpoint, body)
		if got := types.Cacheable(req); got != c.named {
			t.Errorf("%s %s: cacheable = %v", c.endpoint, body, got)
		}
		if got := (cache.CallTypes{}).Cacheable(req); got != c.all {
			t.Errorf("%s %s: cacheable by default = %v", c.endpoint, body, got)
		}
	}
	if nothing, _ := cache.ReadCallTypes([]string{"nonsense"}); nothing.Cacheable(asking(t, 1, "")) {
		t.Error("a list of unknown names caches everything")
	}
}
