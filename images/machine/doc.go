// Package machine runs an image in QEMU for the tests: it starts the emulator,
// reads and answers the serial console, and forwards the mail ports.
//
// Emulation is without acceleration, so it runs anywhere and is slow: x86-64
// gets one processor, because the kernel's patching of its own code fails with
// two. Nothing of this package goes into an image.
package machine
