// Package rootfs writes the root file system: a squashfs 4.0 with gzip, which
// is the one compression that all kernels of the images know.
//
// It is the narrow form that an image needs: files, folders and symbolic links
// that belong to root, without fragments, extended attributes and an export
// table. Metadata is small enough to be kept in memory; contents are not.
//
//	superblock
//	contents          blocks of 128 KiB, each compressed by itself
//	inode table       metadata: blocks of 8 KiB before compression
//	directory table   metadata
//	owners            one: root
//
// A folder's entries name inodes by the place of their metadata block, so that
// children are written before their folder. A run of entries has one header; it
// holds at most 256 entries, of one metadata block. To break one of these rules
// damages folders with many files only, which nobody notices until such a file is
// needed. So Write reads back all that
// it has written, by another implementation, and fails if it finds anything else
// than the entries.
//
// The same entries give the same bytes in any order: owners and times are fixed,
// and nothing of the build host is looked at.
package rootfs
