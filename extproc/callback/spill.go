package callback

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/go-json-experiment/json"
)

// spill is a bounded append-only file of JSON lines. It is used by one
// goroutine. Lines stay until all of them were delivered, then the file is
// emptied: after a crash everything in it is delivered again. A nil spill holds
// nothing.
type spill[T any] struct {
	file  *os.File
	limit int64
	end   int64 // where the next line goes
	next  int64 // where the next line to deliver begins
}

var errSpillFull = errors.New("the spill file is full")

// openSpill opens the file and finds what an earlier process left in it. Two
// queues never share a file: of an old configuration and the new one, or of two
// processes, the first has it until it is closed.
func openSpill[T any](path string, limit int64) (*spill[T], error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spill file: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock spill file, another queue may hold it: %w", err)
	}
	s := &spill[T]{file: file, limit: limit}
	if err := s.findEnd(); err != nil {
		file.Close()
		return nil, fmt.Errorf("read spill file: %w", err)
	}
	return s, nil
}

// findEnd sets end behind the last whole line: a process that died while writing
// leaves half a one.
func (s *spill[T]) findEnd() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for at := info.Size(); at > 0; {
		n := min(at, int64(len(buf)))
		at -= n
		if _, err := s.file.ReadAt(buf[:n], at); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			s.end = at + int64(i) + 1
			return nil
		}
	}
	return nil
}

// size is how many bytes of the file are still to be delivered.
func (s *spill[T]) size() int64 {
	if s == nil {
		return 0
	}
	return s.end - s.next
}

// write appends a batch, all of it or nothing.
func (s *spill[T]) write(batch []entry[T]) error {
	var lines bytes.Buffer
	for _, e := range batch {
		line, err := Encode(e.item)
		if err != nil {
			continue // it could not be delivered either
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	if s.end+int64(lines.Len()) > s.limit {
		return errSpillFull
	}
	if _, err := s.file.WriteAt(lines.Bytes(), s.end); err != nil {
		return fmt.Errorf("write the spill file: %w", err)
	}
	s.end += int64(lines.Len())
	return nil
}

// read returns the next batch and where it ends in the file; nothing is removed
// before consumed says so. A line that cannot be read is skipped.
func (s *spill[T]) read(items, size int) ([]entry[T], int64) {
	if s == nil || s.next >= s.end {
		return nil, 0
	}
	r := bufio.NewReader(&spillReader[T]{s, s.next})
	at, begin := s.next, s.next
	var batch []entry[T]
	for len(batch) < items && at-begin < int64(size) {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break
		}
		at += int64(len(line))
		var item T
		if json.Unmarshal(line, &item) == nil {
			batch = append(batch, entry[T]{item: item})
		}
	}
	if batch == nil {
		if at == begin {
			at = s.end // the file cannot be read
		}
		s.consumed(at)
		return nil, 0
	}
	return batch, at
}

// consumed notes that everything before at was delivered.
func (s *spill[T]) consumed(at int64) {
	s.next = at
	if s.next >= s.end {
		s.next, s.end = 0, 0
		_ = s.file.Truncate(0) // a file that cannot be emptied is delivered twice, at worst
	}
}

func (s *spill[T]) close() {
	if s != nil {
		s.file.Close()
	}
}

// spillReader reads the part of the file that holds whole lines.
type spillReader[T any] struct {
	s  *spill[T]
	at int64
}

func (r *spillReader[T]) Read(p []byte) (int, error) {
	if r.at >= r.s.end {
		return 0, os.ErrClosed
	}
	n, err := r.s.file.ReadAt(p[:min(int64(len(p)), r.s.end-r.at)], r.at)
	r.at += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, err
}
