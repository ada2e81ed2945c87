package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func newPoster(t *testing.T, timeout time.Duration) *Poster {
	p := NewPoster(PosterConfig{Timeout: timeout, UserAgent: "isthmus/test"})
	t.Cleanup(p.Close)
	return p
}

func TestDoSendsAndReads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.UserAgent(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
	}))
	defer server.Close()
	got, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{
		URL: server.URL, ContentType: "application/json", Body: []byte("[1]"),
		Header: []upstream.ExtraHeader{{Name: "Authorization", Value: secret.New("Bearer k")}},
	})
	if want := "POST isthmus/test Bearer k application/json [1]"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestStatusDecidesWhetherToTryAgain(t *testing.T) {
	for status, permanent := range map[int]bool{
		302: true, 400: true, 401: true, 403: true, 404: true, 413: true, 422: true, 501: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false, 504: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			fmt.Fprint(w, "not\n  now")
		}))
		_, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: server.URL + "/hook/SECRET?key=SECRET"})
		server.Close()
		var s *StatusError
		if !errors.As(err, &s) || s.Status != status || s.RetryAfter != 7*time.Second || IsPermanent(err) != permanent {
			t.Errorf("%d: %v, permanent %v", status, err, IsPermanent(err))
		}
		if strings.Contains(err.Error(), "SECRET") || status >= 400 && !strings.Contains(err.Error(), "not now") {
			t.Errorf("%d says %v", status, err)
		}
	}
}

func TestASinkMayAskToBeLeftAloneForFiveMinutesAtMost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	_, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: server.URL})
	var s *StatusError
	if !errors.As(err, &s) || s.RetryAfter != maxRetryAfter {
		t.Errorf("%v", err)
	}
}

func TestErrorsShowNoMoreThanTheHost(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close() // nobody listens
	for _, u := range []string{address + "/SECRET?k=SECRET", "http://user:SECRET@127.0.0.1:1/SECRET", "http://127.0.0.1:1/%zz SECRET",
		"SECRET://x"} {
		_, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: u})
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%v", err)
		}
	}
}

func TestRedirects(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	to := func(status int, target string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target)
			w.WriteHeader(status)
		}
	}
	mux.Handle("/moved", to(308, "/end"))
	mux.Handle("/found", to(302, "/end"))
	mux.Handle("/away", to(307, other.URL+"/end"))
	mux.Handle("/metadata", to(307, "http://169.254.169.254/latest"))
	mux.Handle("/loop", to(307, "/loop"))
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for path, ok := range map[string]bool{"/moved": true, "/found": false, "/away": false, "/metadata": false, "/loop": false} {
		got, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: server.URL + path, Body: []byte("body")})
		if ok && (err != nil || string(got) != "body") || !ok && !IsPermanent(err) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if elsewhere != 0 {
		t.Errorf("another host was asked %d times", elsewhere)
	}
}

func TestASinkThatFloodsIsReadNoFurther(t *testing.T) {
	flood := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/error" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		junk := make([]byte, 1<<20)
		for {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(flood)
	defer server.Close()
	got, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: server.URL})
	if err != nil || len(got) != maxAnswer {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := newPoster(t, 20*time.Second).Do(t.Context(), Post{URL: server.URL + "/error"}); err == nil || len(err.Error()) > 700 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestADeadlineSaysWhy(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	_, err := newPoster(t, 50*time.Millisecond).Do(t.Context(), Post{URL: server.URL})
	if err == nil || IsPermanent(err) || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newPoster(t, 20*time.Second).Do(ctx, Post{URL: server.URL}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
