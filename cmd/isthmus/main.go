// Command isthmus is an LLM gateway that lives inside Envoy. See README.md, and
// package cmd/cli for how it is put together.
package main

import (
	"os"

	"github.com/isthmus-proxy/isthmus/cmd/cli"
)

func main() { os.Exit(cli.Main()) }
