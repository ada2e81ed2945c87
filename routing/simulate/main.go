package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	docs := flag.String("docs", "docs", "the `DIRECTORY` with routing.md and routing.svg to bring up to date")
	flag.Parse()
	if err := run(*docs); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// requests is how many each strategy serves.
const requests = 1_000_000

func run(docs string) error {
	results, err := compare(requests)
	if err != nil {
		return err
	}
	fmt.Print(table(results))
	return write(docs, results)
}
