// Package rig builds, starts and stops the real binary for tests and
// benchmarks, and gives them mail: the test messages of Python's email package
// and of enmime, and an archive of any size that is the same on every run.
//
// Of the product it imports only the sample's archive of mail, so that a test
// cannot pass by sharing the product's own mistake.
package rig
