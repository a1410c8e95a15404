// Package flash writes an image to a whole disk, such as a memory card in a
// reader, and reads it back.
//
// The danger is the wrong disk. So a disk that is mounted, or in use in another
// way, or that the kernel does not call removable, is refused unless the caller
// insists; one that holds the running system always. Mount tables can be
// changed while one looks, therefore the disk is also opened for this process
// alone, which the kernel refuses while anything of it is mounted.
package flash
