package exec

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// beChild is the program that the tests run.
func beChild(role string) {
	in := bufio.NewScanner(os.Stdin)
	switch role {
	case "echo":
		for in.Scan() {
			fmt.Println("got " + in.Text())
		}
		fmt.Fprintln(os.Stderr, "drained")
	case "die":
		if in.Scan() {
			_, id, _ := strings.Cut(in.Text(), `"litellm_call_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			fmt.Println("died after " + id)
			os.Exit(3)
		}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Minute)
	}
}
