// Package unpack lays out what somebody packed into one file, so that it can be
// read as files: a zip, a tar, a tar with gzip, or an mbox, which stays as it is.
// What a file is tells its first octets, not its name.
//
// # What comes out
//
// Folders and regular files below the target folder, for their owner only, with
// the times that the archive has: a Maildir tells by them when a message arrived.
// Links, pipes and devices are left out and counted, as is what macOS puts beside
// the files. Either all of the rest is there, or an error says why not; then
// whoever called removes the folder.
//
// # Threats
//
// The archive is a stranger's. A name that leads out of the target folder is
// refused, and the folder is written through an [os.Root], so that nothing leads
// out of it. Octets, files, depth and how much larger the contents may be than
// the archive are bounded, each file counted as the blocks that it takes at
// least; the list of a zip is bounded before it is read, since it is kept in
// memory. While files are written, the caller is asked again and again whether
// there is room.
//
// # Must not know
//
// What mail is, where the archive came from, whose it becomes.
package unpack
