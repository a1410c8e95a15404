// Package keeper keeps a program running: it starts it again when it ends,
// each time after a longer pause, and keeps its last words on the disk.
//
// gokrazy's own supervisor restarts after one second for ever, stops for good
// when a program ends with status 0, and keeps a hundred lines in memory, which
// a power cut takes along. So it supervises a keeper, which ends only when it is
// told to.
//
// What is kept is bounded: the newest reports, each with the end of the output.
// The program's output is passed on as it is.
package keeper
