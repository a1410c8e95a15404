// Package gpt grows the last partition of a disk in its GUID partition table,
// safely against a power cut at any point.
//
// The header in sector 1 names the sector where the table begins. So the new
// table is written to the place that is not in use, the backup to the new end
// of the disk, and when all of that is durable the header is replaced, which is
// one sector and therefore happens or does not. Both the old and the new header
// always find a whole table. The image leaves room for the second place.
//
// The bytes come from a disk that may be damaged: everything is checked by its
// sums before it is used.
package gpt
