package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// maxSize bounds a file, in bytes.
const maxSize = 16 << 20

// Read is os.ReadFile for what a person has named, perhaps wrongly: only a regular
// file is read, and none larger than 16 MiB, so that neither a pipe without a writer
// nor a device without end holds up the process. The error names the file.
func Read(path string) ([]byte, error) {
	// Opening a pipe would wait for who writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is " + kind(info.Mode()) + ": want a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(text) > maxSize {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("it is larger than " + strconv.Itoa(maxSize>>20) + " MiB")}
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
