// Package ledger keeps entries that are only ever added, in files to which one
// only appends. It knows nothing of what an entry means.
//
// # On disk
//
//	DIR/00000001.log   the first file, DIR/00000002.log the next, and so on
//
// A file begins with the eight octets "PBLEDG1\n"; then comes a frame for each
// Append: length of its entries (4 octets, little-endian), CRC-32C of length
// and entries (4 octets), and of each entry its length (uvarint) and data. A
// new file is begun when the last one has reached its size. Whole files are
// removed from the beginning; what is in a file never changes.
//
// # Order of writes
//
// A frame is written by one write and one fsync, and only then Append returns.
// After a failed write or fsync the file is cut back to what was durable
// before, because what the kernel holds after a failed fsync may never reach
// the disk; until that has succeeded nothing more is appended. A new file gets
// its name (fsync of the folder) before the first frame is written.
//
// # The end
//
// A power cut in the middle of an Append leaves a torn end: a last frame that
// is cut short, or of which sectors are zeros that were never written. Open
// cuts that off and says so. Any other end that cannot be read is damage: the
// file is left as it is, and what is appended goes into a new one.
package ledger
