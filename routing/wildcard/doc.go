// Package wildcard matches names against patterns with "*", as model_name of the
// model config has them, and fills such patterns in.
package wildcard
