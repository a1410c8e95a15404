// Package partition writes the partition table of an image: a GPT, and beside
// it a hybrid MBR for the Raspberry Pi's boot ROM, which reads nothing else.
//
// The disk is gokrazy's: p1 boot, p2 and p3 the two root file systems, p4 the
// data. Partition identifiers carry the host name's hash and the partition's
// number, as gokrazy's tools expect; the kernel is told the first one's and
// counts from there.
//
// Sectors 34 to 65 stay free: the device grows the data partition at its first
// boot and puts the new table there before it turns the header to it, so that a
// power cut finds either the old table or the new one.
package partition
