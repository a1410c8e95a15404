// Package firmware is what the init program does on the device before and
// beside mail: it finds the disk it was started from, makes and checks the
// data partition, reads the provisioning file, keeps the time and talks to the
// person at the console.
//
// Its rooms know nothing of mail and nothing of how an image is built; what the
// two sides must agree on is written down in both: the partitions' order, the
// names on the boot partition, the manifest's place. What is wrong with the
// device is published in a file that the mail server shows with what it finds
// itself.
//
//	firmware            the order of a start, and what went wrong in it
//	firmware/disk       the disk, its partitions, mounting
//	firmware/gpt        grows a partition in the table
//	firmware/datafs     makes and checks the data file system
//	firmware/provision  the file pillarbox.toml
//	firmware/clock      time without a battery
//	firmware/sockets    what listens on the network
//	firmware/console    status and rescue menu
package firmware
