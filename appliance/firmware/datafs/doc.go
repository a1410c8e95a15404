// Package datafs makes the data file system at the first boot and checks it at
// every other. It is ext4.
//
// # Making it
//
// Only a partition that is new is formatted: one whose first MiB is zero, as
// an image has it, or which carries our mark in its first sector. ext4 leaves
// that sector alone, so the mark cannot come from a file system in use.
//
//  1. All is written but the first MiB, which the library believes to have
//     written and which is kept in memory. Until here a cut leaves the
//     partition new.
//  2. The mark is written, then the first MiB behind it, with the superblock.
//     After each step the disk is told to keep it. A cut leaves the mark: the
//     next boot begins again.
//  3. What was written is read back and compared; then the mark is removed by
//     writing one sector. Nothing mounts the file system before that.
//
// # Checking it
//
// e2fsck runs before each mount in the mode in which it mends what can be
// mended without a decision: it replays the journal, and after an error it
// looks at everything. Where it cannot mend the partition is to be mounted
// read-only; Check says so in words. The mail's own checks come on top of this
// and do not rely on it.
package datafs
