// Package clock keeps the time on machines without a battery behind their
// clock.
//
// Such a machine wakes up in 1970, where no certificate is valid yet. So the
// clock never runs behind two times that have passed for certain: the image's
// build, and the last time that was noted on the data partition.
package clock
