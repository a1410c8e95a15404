// Package support makes the bundle of files that somebody sends to who helps
// them: what the box is, how it is set up, and what happened lately.
//
// A bundle leaves the house. So each text goes through a [Redactor]: passwords,
// keys, tokens and what looks like one are taken out, always; names, addresses
// of mail, of devices and of the office's network are replaced by stand-ins,
// unless the administrator wants them kept. The same person has the same
// stand-in throughout a bundle and another one in the next: it is made with a
// key that is drawn for each bundle and forgotten with it.
//
// The parts are answers of the box that hold no secret in the first place, and
// none of them has a message's text. The Redactor is for what slipped into a log
// line or a note.
//
// # Must not know
//
// Where the parts come from, HTTP, the command line.
package support
