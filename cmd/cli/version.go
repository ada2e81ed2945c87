package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// modulePath is the module that the version is that of. A program of the user's
// own that calls Main has it as a dependency.
const modulePath = "github.com/isthmus-proxy/isthmus"

// versionCommand prints what this binary was built from and the Envoys it knows.
func versionCommand(_ context.Context, args []string, stdout, stderr io.Writer) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, stderr); err != nil {
		return err
	}
	info, _ := debug.ReadBuildInfo()
	b := readOrigin(info)
	fmt.Fprintf(stdout, "isthmus %s\n", b.version)
	if b.commit != "" {
		fmt.Fprintf(stdout, "commit  %s\n", b.commitLine())
	}
	fmt.Fprintf(stdout, "go      %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(stdout, "envoy   %s to %s, fetches %s\n", envoy.Oldest, envoy.Newest, process.DefaultVersion)
	fmt.Fprintf(stdout, "istio   %s to %s\n", envoy.OldestIstio, envoy.NewestIstio)
	return nil
}

// buildVersion is the version in metrics, spans and records.
func buildVersion() string {
	info, _ := debug.ReadBuildInfo()
	return readOrigin(info).version
}

// origin is what a binary was built from.
type origin struct {
	version  string    // "v1.2.3", a pseudo-version, or the commit; "unknown" without either
	commit   string    // the whole hash; "": not recorded
	time     time.Time // of the commit; zero: not recorded
	modified bool      // files differed from the commit
}

// readOrigin reads the build info of the running binary, which may be nil. The go
// command records a version for `go install …@v1.2.3` and for builds in a checkout
// (the tag of HEAD, else a pseudo-version), and a commit for the latter alone.
// -buildvcs=false, and `go test`, leave out both.
func readOrigin(info *debug.BuildInfo) origin {
	b := origin{version: "unknown"}
	if info == nil {
		return b
	}
	module := &info.Main
	if module.Path != modulePath {
		for _, dependency := range info.Deps {
			if dependency.Path == modulePath {
				module = dependency
			}
		}
	} else {
		b.readCommit(info.Settings)
	}
	switch v := module.Version; {
	case v != "" && v != "(devel)":
		b.version = v
	case b.commit != "":
		b.version = b.commit[:min(len(b.commit), 12)]
		if b.modified {
			b.version += "+dirty"
		}
	}
	return b
}

// readCommit reads the commit from the settings of a build.
func (b *origin) readCommit(settings []debug.BuildSetting) {
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.time, _ = time.Parse(time.RFC3339, s.Value) // zero: not recorded
		case "vcs.modified":
			b.modified = s.Value == "true"
		}
	}
}

// commitLine is the commit with its date, and whether the files differed from it.
func (b *origin) commitLine() string {
	line := b.commit
	if !b.time.IsZero() {
		line += " of " + b.time.UTC().Format(time.DateOnly)
	}
	if b.modified {
		line += ", with changes"
	}
	return line
}
