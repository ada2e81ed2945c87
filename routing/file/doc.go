// Package file reads the files that a configuration names.
package file
