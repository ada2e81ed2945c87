package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// child is one running program.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	gone  chan struct{} // closed when it has ended and its output was read
	log   *slog.Logger
	guard *guard.Guard
}

// maxLine bounds a line of output in the log, in bytes.
const maxLine = 8 << 10

func start(c Config) (*child, error) {
	words := c.Command.Words
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.Command.Env...)
	ownGroup(cmd)
	cmd.WaitDelay = grace // a grandchild that holds the output open does not hold us
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, outWriter := io.Pipe()
	cmd.Stdout, cmd.Stderr = outWriter, outWriter
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ch := &child{name: words[0], cmd: cmd, stdin: stdin, gone: make(chan struct{}), log: c.Log, guard: c.Guard}
	ch.log.Info("callback program started", "program", ch.name, "pid", cmd.Process.Pid)
	var read sync.WaitGroup
	read.Go(func() { c.Guard.Run("the output of a callback program", func() { ch.copyOutput(out) }) })
	c.Guard.Go("a callback program", func() {
		defer close(ch.gone)
		err := cmd.Wait()
		outWriter.Close()
		read.Wait()
		if err != nil {
			ch.log.Warn("callback program ended", "program", ch.name, "error", err)
		}
	})
	return ch, nil
}

// copyOutput writes the program's lines to the log.
func (c *child) copyOutput(from *io.PipeReader) {
	defer from.Close()
	r := bufio.NewReaderSize(from, maxLine)
	for {
		line, isPrefix, err := r.ReadLine()
		if len(line) > 0 {
			c.log.Info(string(line), "program", c.name)
		}
		for isPrefix && err == nil { // the rest of a line that is too long
			_, isPrefix, err = r.ReadLine()
		}
		if err != nil {
			return
		}
	}
}

// write hands the program some lines. One that does not read them in time is
// killed: half a line may have reached it.
func (c *child) write(ctx context.Context, lines []byte) error {
	done := make(chan error, 1)
	c.guard.Go("a callback program", func() {
		_, err := c.stdin.Write(lines)
		done <- err
	})
	select {
	case err := <-done:
		if err != nil {
			kill(c.cmd)
		}
		return err
	case <-c.gone:
		c.stdin.Close() // ends the writing goroutine
		return errors.New("it has ended")
	case <-ctx.Done():
		kill(c.cmd)
		c.stdin.Close()
		return fmt.Errorf("it does not read its input: %w", context.Cause(ctx))
	}
}

// end closes the input and waits.
func (c *child) end(ctx context.Context) error {
	c.stdin.Close()
	select {
	case <-c.gone:
		return nil
	case <-ctx.Done():
	}
	terminate(c.cmd)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C:
		kill(c.cmd)
		<-c.gone // bounded by WaitDelay
	}
	return fmt.Errorf("%s did not end by itself in time", c.name)
}
