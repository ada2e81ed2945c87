// Package config reads the model config: the LiteLLM-format YAML file that says
// which models there are, who serves them and how.
//
// Every setting is read from the node it stands in, so that each error and
// warning names file, line and key. All settings are accepted in router_settings,
// litellm_settings and general_settings alike (in that order of precedence):
// LiteLLM ignores most of them silently in the "wrong" section, and people's
// files show it. What is wrong is an error that says what is allowed; what is
// unknown is a warning with the nearest known key.
//
// What LiteLLM reads and isthmus does not is answered by the table of
// translate/litellm: ignored with a warning, or, where it restricts, an error, unless
// the user goes on by its name ([Options].AllowUnenforced). [NewReport] answers each
// key of a file.
//
// [Load] reads the file, what it includes, the .env beside it and the
// environment. Values "os.environ/NAME" are resolved anywhere, once. The result
// is plain data with all defaults applied.
package config
