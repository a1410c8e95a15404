// Package disk finds the disk that the system was started from and its
// partitions, by what the kernel tells, and mounts them.
//
// It needs /proc, /sys and /dev (see Early) and nothing else, so that it works
// before gokrazy's own start.
package disk
