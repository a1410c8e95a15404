// Package appliance puts the rooms together: it opens storage, directory and
// certificates, opens the listeners, starts the services and stops them in
// reverse. It is the only package that knows all of them, and holds the
// adapters by which one room is shown to another as the other declared it.
//
// The pages of package webui sit on the requests of package control, in whose
// handler they are as much a client as the command line is; web*.go brings
// connections to them, and shows them sign-in, bans and audit.
//
// A data folder belongs to one process at a time. The server ([New]) holds it
// while it runs; a command ([Connect]) works through the server, or, where
// none runs, opens the folder for itself.
//
//	DIR/                 mode 0700
//	  system.db, …       storage
//	  audit/             the record of who did what
//	  certs/             the private CA and the certificate
//	  run/               how the runs of the server ended
//	  log/               the log, if the server was told to keep it there
//	  factory-reset.json a reset to be done at the next start
//	  control.sock       for commands, while a server runs
//	  lmtp.sock          LMTP, unless another address is given
//
// Stopping has an order: listeners close and sessions finish the command they
// are at, then the control socket, then storage, which waits until everything
// that was acknowledged is on the disk.
package appliance
