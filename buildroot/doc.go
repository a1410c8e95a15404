// Package buildroot builds disk images: from our own programs, from kernels
// and firmware that are pinned Go modules, and from two Debian packages.
//
// An image is gokrazy's disk: a boot partition (FAT), two root file systems
// (squashfs) of which one is in use, and the data partition, which the device
// makes itself at its first boot. The programs in the root are built here too;
// nothing of the build host goes into them.
//
// The same inputs give the same bytes. What takes time is kept in a cache
// folder and used again if its inputs have the same hash.
//
//	buildroot            the declaration, the manifest, the order of the work
//	buildroot/input      fetches modules and packages
//	buildroot/compile    builds our programs
//	buildroot/fat        writes the boot partition
//	buildroot/rootfs     writes the root file system
//	buildroot/partition  writes the partition table
//	buildroot/flash      writes an image to a device
//
// It imports nothing of the product: what goes onto the device is known to it
// by import path and by file name alone.
package buildroot
