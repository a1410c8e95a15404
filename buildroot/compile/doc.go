// Package compile builds the programs of an image with the Go tool, the same
// bytes from the same sources: static, without paths of the build host.
package compile
