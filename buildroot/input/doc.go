// Package input fetches what an image is made of beside our own programs:
// kernels and firmware, which come as Go modules and are data to us, and a few
// Debian packages for what no library does.
//
// Modules are pinned here with the sums of their contents, apart from go.mod,
// because nothing of them is ever compiled into a program. Debian packages are
// the newest of the release that the build host follows, checked by apt; which
// ones they were is written into the image's manifest.
package input
