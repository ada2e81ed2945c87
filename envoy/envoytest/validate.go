package envoytest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// validateTime bounds one validation: it opens no listener and dials nobody.
const validateTime = 60 * time.Second

// Validate fails the test when this Envoy does not take the configuration.
func Validate(t testing.TB, b process.Binary, config []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), validateTime)
	defer cancel()
	if err := validate(ctx, b, filepath.Join(t.TempDir(), "envoy.yaml"), config); err != nil {
		t.Errorf("Envoy %s: %v", b.Version, err)
	}
}

// validate asks an Envoy whether it takes a configuration, which it is given in a
// file. The error has Envoy's own words.
func validate(ctx context.Context, b process.Binary, file string, config []byte) error {
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.Path, "--mode", "validate", "--config-path", file, "--log-level", "error", "--disable-hot-restart")
	if says, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("validate the configuration: %w: %s", errors.Join(err, ctx.Err()), says)
	}
	return nil
}
