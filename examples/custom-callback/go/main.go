// Command isthmus-with-hooks is isthmus with callbacks of one's own built in.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

func main() {
	os.Exit(cli.Main(&callback.Hooks{
		PreAPICall:   func(_ context.Context, e *callback.Event) { fmt.Println("calling", e.Model) },
		PostAPICall:  func(_ context.Context, e *callback.Event) { fmt.Println(e.Model, "took", time.Duration(e.Duration)) },
		StreamEvent:  func(_ context.Context, e *callback.Event) { fmt.Printf("chunk %s\n", e.Chunk) },
		SuccessEvent: func(_ context.Context, e *callback.Event) { fmt.Println("success,", e.Record.TotalTokens, "tokens") },
		FailureEvent: func(_ context.Context, e *callback.Event) { fmt.Println("failure:", e.Record.ErrorStr) },
	}))
}
