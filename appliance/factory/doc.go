// Package factory puts a data folder back to how it was when it was new, with
// or without the mail.
//
// A reset is scheduled at the console, where a person stands before the box,
// and carried out at the next start of the server, before anything of the
// folder is opened: so it works while a server runs, with a folder that a
// server cannot open any more, and with one that a power cut left half done.
//
//	DIR/factory-reset.json    a reset that is not done yet
//
// Where the mail is kept, so is the record of who did what with it; the server
// adds the reset to it.
//
// What is deleted is gone for the file system; flash may still hold it until
// it is written over. A box that is given away needs its disk erased.
package factory
