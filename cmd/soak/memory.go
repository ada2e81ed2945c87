package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// growth is how much the last third's median may be above the middle third's,
// in percent, and slack how many bytes it may be above it in any case: what a
// collector or an allocator keeps for the next request.
// Of fewer samples, one a second, nothing is said: that is the warm-up.
const (
	growth      = 10
	slack       = 16 << 20
	fewestToSay = 180
)

// residents are samples of a process's resident memory, in bytes.
type residents []int64

// flat tells whether a process has stopped growing: the first third is what it
// takes to warm up.
func (r residents) flat() error {
	if len(r) < fewestToSay {
		return nil
	}
	third := len(r) / 3
	middle, last := r[third:2*third].median(), r[2*third:].median()
	if last > middle+max(middle*growth/100, slack) {
		return fmt.Errorf("memory grew from %d to %d MiB (medians of the middle and the last third)", middle>>20, last>>20)
	}
	return nil
}

func (r residents) median() int64 {
	if len(r) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(r))
	return s[len(s)/2]
}

// resident reads the resident memory of a process; 0 when it has ended.
func resident(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
