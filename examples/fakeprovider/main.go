// Command fakeprovider is a small local LLM provider for trying isthmus without
// any key: it answers in the formats of OpenAI, Anthropic, Gemini and Ollama,
// blocking and streaming, with token counts, and it never leaves the machine.
//
//	fakeprovider --listen 127.0.0.1:4010
//	fakeprovider --listen 127.0.0.1:0 -- isthmus run --config config.yaml
//
// The second form runs a command beside it, tells it the address in
// FAKEPROVIDER_URL and FAKEPROVIDER_OPENAI_URL, and ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4010", "address to listen on")
	pause := flag.Duration("token-pause", 15*time.Millisecond, "pause between the tokens of a stream")
	flag.Parse()
	code, err := run(*listen, *pause, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakeprovider:", err)
	}
	os.Exit(code)
}

// run serves until the command beside it ends or a signal comes, and returns
// the exit code.
func run(listen string, pause time.Duration, command []string) (int, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return 1, err
	}
	server := &http.Server{Handler: handler(pause), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	url := "http://" + listener.Addr().String()
	if len(command) == 0 {
		fmt.Println("fakeprovider listens on", url)
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		<-ctx.Done()
		return 0, nil
	}
	return runCommand(command, url)
}

// runCommand runs the command to its end. Signals are passed on: the command
// decides how to end.
func runCommand(command []string, url string) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "FAKEPROVIDER_URL="+url, "FAKEPROVIDER_OPENAI_URL="+url+"/v1")
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM { // a terminal sends the interrupt to both by itself
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
