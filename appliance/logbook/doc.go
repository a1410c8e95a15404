// Package logbook keeps the log: the newest lines in memory, for whoever asks
// what just happened, and on request in files of a bounded size.
//
//	DIR/pillarbox.log    the newest lines
//	DIR/pillarbox.log.1  older ones, and so on
//
// The files are easy on flash: lines are gathered and written together now and
// then; only an error is written, and made durable, at once. A power cut costs
// the last minute of harmless lines. A disk that is full costs lines, never
// mail: a log that cannot be written stops nothing.
package logbook
