package cli

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestAVersionIsReadFromWhatTheBinaryWasBuiltFrom(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "vcs.revision", Value: hash}, {Key: "vcs.time", Value: "2026-11-30T23:59:59+02:00"}, {Key: "vcs.modified", Value: modified},
		}
	}
	own := func(version string, settings []debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: version}, Settings: settings}
	}
	cases := []struct {
		name            string
		info            *debug.BuildInfo
		version, commit string
	}{
		{"go install of a release", own("v1.2.3", nil), "v1.2.3", ""},
		{"a build at a tag", own("v1.2.3", vcs("false")), "v1.2.3", hash + " of 2026-11-30"},
		{"a build with changes", own("v1.2.4-0.20261130215959-0123456789ab+dirty", vcs("true")),
			"v1.2.4-0.20261130215959-0123456789ab+dirty", hash + " of 2026-11-30, with changes"},
		{"a commit without a version", own("(devel)", vcs("false")), "0123456789ab", hash + " of 2026-11-30"},
		{"a changed commit without a version", own("", vcs("true")), "0123456789ab+dirty", hash + " of 2026-11-30, with changes"},
		{"-buildvcs=false", own("(devel)", nil), "unknown", ""},
		{"no build info", nil, "unknown", ""},
		{"a program of the user's own, whose version and commit are not ours", &debug.BuildInfo{
			Main:     debug.Module{Path: "example.com/gateway", Version: "v9.9.9"},
			Deps:     []*debug.Module{{Path: "example.com/other", Version: "v8.8.8"}, {Path: modulePath, Version: "v1.2.3"}},
			Settings: vcs("false"),
		}, "v1.2.3", ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			b := readOrigin(tc.info)
			if got := b.commitLine(); b.version != tc.version || got != tc.commit {
				t.Errorf("version = %q, commit %q; want %q, %q", b.version, got, tc.version, tc.commit)
			}
		})
	}
}

func TestTheVersionIsPrintedWithTheEnvoysThatAreKnown(t *testing.T) {
	for _, command := range []string{"version", "--version"} {
		var stdout, stderr strings.Builder
		code := Run(t.Context(), []string{command}, &stdout, &stderr)
		if code != 0 || stderr.Len() > 0 {
			t.Errorf("isthmus %s: exit %d: %s", command, code, &stderr)
		}
		for _, want := range []string{"isthmus ", "\ngo      go1.", "\nenvoy   1.36 to 1.40, fetches 1.40.", "\nistio   1.28 to 1.31\n"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("isthmus %s does not print %q:\n%s", command, want, &stdout)
			}
		}
	}
	var stdout, stderr strings.Builder
	if code := Run(t.Context(), []string{"version", "please"}, &stdout, &stderr); code != 2 || stdout.Len() > 0 {
		t.Errorf("isthmus version please: exit %d: %s%s", code, &stdout, &stderr)
	}
}
