// Package fat writes the boot file system: FAT16 in the narrow form that every
// reader of ours takes.
//
// The readers are the UEFI firmware, the Raspberry Pi's boot ROM, Linux, and
// the minimal reader of gokrazy's updater on the device, which wants one copy
// of the FAT, files in one piece, and short names in the case in which it asks
// for them. So the file system has exactly one FAT, each file is one run of
// clusters, every entry has a long name, and its short name keeps the case.
//
// The same files give the same bytes: nothing is taken from the clock, and the
// volume's serial number comes from the caller. Free clusters are not written;
// the caller's file must read as zero there.
package fat
