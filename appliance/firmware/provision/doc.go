// Package provision reads the file pillarbox.toml from the boot partition, by
// which a box is set up without a screen, and writes it for the image builder.
//
// A person edits the file on any computer, so it is read with patience: what is
// wrong is named and left out, and all the rest holds. It never keeps the box
// from starting.
package provision
