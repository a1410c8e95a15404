// Package rootfs writes the root file system: a squashfs with gzip, which is
// the one compression that all kernels of the images know.
//
// The same files give the same bytes: owners, modes and times are fixed, and
// the order is that of the names.
//
// The library's folders are damaged when there are many files: six hundred were
// too many, two hundred are not. The image's tests have another program read the
// whole of it.
package rootfs
