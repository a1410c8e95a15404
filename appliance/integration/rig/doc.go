// Package rig builds, starts and stops the real binary for tests and
// benchmarks, and gives them mail: the test messages of Python's email package
// and of enmime, and an archive of any size that is the same on every run.
//
// It imports nothing of the product, so that a test cannot pass by sharing the
// product's own mistake.
package rig
