// Package restart counts how often the program ended badly, makes it wait
// longer each time before it serves again, and keeps its last words.
//
// A supervisor may start a program again at once and for ever; gokrazy does.
// With a fault that is there at every start the flash would be written, and
// the log filled, until somebody looks.
//
//	DIR/run/             locked while a server is there
//	  run.json           how this run and the ones before it were
//	  crash.txt          what the Go runtime says while this run breaks down
//	  last-crash.txt     what it said when an earlier run did, bounded
//
// A run that ended with the machine (the boot's id is another one) is a power
// cut or a reboot, not a fault of the program, unless it left last words.
//
// A run that ended by an error before it was ready, such as a port that is
// taken, is no bad end, but lets the next one wait too.
//
// The package imports nothing of ours. Three small files are written per
// start; while the program runs, one, once.
package restart
