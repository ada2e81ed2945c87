package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// environment answers for variables: the real environment, then .env, then the
// file's own environment_variables. An empty value is no value.
type environment struct {
	lookup func(string) (string, bool)
	dotenv map[string]string
	file   map[string]string
}

func (e *environment) get(name string) (string, bool) {
	if v, ok := e.lookup(name); ok && v != "" {
		return v, true
	}
	if v := e.dotenv[name]; v != "" {
		return v, true
	}
	v := e.file[name]
	return v, v != ""
}

// first returns the first of the variables that is set, and which that is.
func (e *environment) first(names ...string) (text, name string) {
	for _, n := range names {
		if v, ok := e.get(n); ok {
			return v, n
		}
	}
	return "", ""
}

func newEnvironment(o Options) (*environment, error) {
	e := &environment{lookup: o.Lookup, file: map[string]string{}}
	if e.lookup == nil {
		e.lookup = os.LookupEnv
	}
	path := o.EnvFile
	if path == "" && o.Path != "" {
		path = filepath.Join(filepath.Dir(o.Path), ".env")
	}
	if path == "" {
		return e, nil
	}
	text, err := o.read(path)
	if errors.Is(err, fs.ErrNotExist) && o.EnvFile == "" {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the env file: %w", err)
	}
	e.dotenv, err = parseDotenv(path, string(text))
	return e, err
}
