// Package images holds the declarations of the disk images, one folder each:
// what the image is made of, and what a person must know to put it onto a
// device. package buildroot tells what a declaration may say.
package images
