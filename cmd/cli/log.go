package cli

import (
	"io"
	"log/slog"
	"os"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// newLogger logs text to a terminal and JSON elsewhere.
func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.Verbose {
		options.Level = slog.LevelDebug
	}
	if terminal(w) && !c.JSONLogs {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
