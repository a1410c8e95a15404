// Package faultfs is a file system for tests of what becomes of data when the
// disk fails. It lives in memory and is mounted through FUSE, so the code
// under test does what it does on any other: system calls, memory maps, locks.
// No program of ours contains it.
//
// It keeps apart what is on the disk and what only seems to be. What a file's
// fsync has not covered, and names that their folder's fsync has not covered,
// are seen by every reader, but a power cut leaves what [FS.Crash] draws of
// them: any subset of the sectors written and of the names made and removed,
// in any order. A rename happens or does not, as file systems with a journal
// promise. An fsync is all that orders anything, and that of a new file does
// not cover its name.
//
// A hook sees each operation before it happens, in an order of one by one, and
// may let it fail. After an fsync that failed, readers go on seeing what was
// written, but no later fsync writes it (as Linux's page cache behaves on
// ext4): only what is written anew can become durable.
//
// # Processes
//
// The file system is served by one process, the test, and used by another,
// which mounts it in a mount namespace of its own: a process that served its
// own memory maps would wait for itself, and the mount ends with the
// namespace, however the process ends.
package faultfs
