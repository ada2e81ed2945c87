// Package exec hands events to a program of the user's own: exec:COMMAND in the
// list of callbacks.
//
// The program reads one JSON object a line on its standard input, in the form
// of [callback.Event]; "hook" says what happened. What it prints goes to the
// gateway's log. It is started with the first event and again, after a pause,
// when it dies; events that were written to a program that died are lost, all
// others are written to the next. When the gateway ends, the program's input is
// closed once everything was written; it should then finish and exit.
//
// Words of the form NAME=VALUE before the program are variables for it, and
// ISTHMUS_HOOKS says which hooks it wants to hear of: all but stream_event when
// it is not there, for an event for each chunk of each stream is a lot.
//
// The command is split at spaces as a shell would, quotes included, but no shell
// runs it. Whoever writes the configuration decides what runs here; nothing a
// client sends becomes part of a command.
package exec
