package rig

import (
	"iter"

	"pillarbox/appliance/sample"
)

// archiveSeed makes the archive the same on every run.
const archiveSeed = 1

// Archive yields the first n messages of an office's archive. 10,000 have 239
// MB, like the archive that other servers were measured with.
func Archive(n int) iter.Seq[[]byte] { return sample.Corpus(archiveSeed, n) }

// Message returns message i of the archive.
func Message(i int) []byte {
	var last []byte
	for m := range Archive(i + 1) {
		last = m
	}
	return last
}
