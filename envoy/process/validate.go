package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// validateTime bounds one validation: it opens no listener and dials nobody.
const validateTime = 60 * time.Second

// Validate asks an Envoy whether it takes a configuration. The error has Envoy's
// own words.
func Validate(ctx context.Context, b Binary, config []byte) error {
	dir, err := os.MkdirTemp("", "isthmus-envoy-")
	if err != nil {
		return fmt.Errorf("validate the Envoy configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return fmt.Errorf("validate the Envoy configuration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, validateTime)
	defer cancel()
	words := &lastWords{}
	cmd := exec.CommandContext(ctx, b.Path, "--mode", "validate", "--config-path", file, "--log-level", "warning", "--log-format", logFormat, "--disable-hot-restart")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("validate the Envoy configuration: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("validate the Envoy configuration: %w", err)
	}
	words.read(pipe)
	if err := errors.Join(cmd.Wait(), ctx.Err()); err != nil {
		//lint:ignore ST1005 Envoy is a name
		return fmt.Errorf("Envoy does not take the configuration (%w): %s", err, words)
	}
	return nil
}
