package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnOutboxGoesInPiecesAndComesBackWhole(t *testing.T) {
	full := func() *outbox {
		d := newOutbox()
		for i := range 7 {
			d.correct(Correction{fmt.Sprint("w", i), 5, int64(i + 1)})
			d.correct(Correction{fmt.Sprint("w", i), 6, -1})
		}
		for i := range 5 {
			d.released[Held{"k", fmt.Sprint(i)}] = struct{}{}
		}
		d.renew(Held{"k", "x"})
		return d
	}
	for most, want := range map[int]int{1: 7, 3: 3, 7: 1, 500: 1} {
		d := full()
		var pieces []*outbox
		for !d.empty() {
			piece := d.take(most)
			if len(piece.windows) > most || len(piece.released) > most || len(piece.renewed) > most {
				t.Errorf("%+v has more than %d", piece, most)
			}
			pieces = append(pieces, piece)
		}
		if len(pieces) != want {
			t.Errorf("%d pieces of %d, want %d", len(pieces), most, want)
		}
		for _, piece := range pieces {
			d.restore(piece)
		}
		if diff := cmp.Diff(full(), d, cmp.AllowUnexported(outbox{})); diff != "" {
			t.Errorf("pieces of %d, put together (-want +got):\n%s", most, diff)
		}
	}
}

// reply is an error that a server has replied with.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestWhichErrorsSayThatNothingWasDone(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"full":                 {reply("OOM command not allowed when used memory > 'maxmemory'. script: 44."), true},
		"full, Redis 6":        {reply("ERR Error running script (call to f_44): @user_script:74: @user_script: 74: -OOM command"), true},
		"read-only, Redis 6":   {reply("ERR Error running script (call to f_44): @user_script:9: @user_script: 9: -READONLY You"), true},
		"wrapped":              {fmt.Errorf("settle: %w", reply("NOREPLICAS Not enough good replicas to write.")), true},
		"it has lost its data": {reply("EPOCH this server has lost its data"), true},
		"it runs a script":     {reply("BUSY Redis is busy running a script."), true},
		"its keys move":        {reply("TRYAGAIN Multiple keys request during rehashing of slot"), true},
		"too many clients":     {reply("ERR max number of clients reached"), true},
		"a bug of a script":    {reply("ERR Error running script (call to f_44): @user_script:9: attempt to index a nil value"), false},
		"another type":         {reply("WRONGTYPE Operation against a key holding the wrong kind of value"), false},
		"forbidden":            {reply("NOPERM this user has no permissions to run the 'hset' command"), false},
		"no answer in time":    {context.DeadlineExceeded, false},
		"a text of no server":  {errors.New("OOM command not allowed"), false},
		"none":                 {nil, false},
	} {
		if refused(tc.err) != tc.want {
			t.Errorf("%s: %v", name, !tc.want)
		}
	}
}
