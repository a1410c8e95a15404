package disk

// Named returns the disk that the kernel calls so.
func Named(name string) *Disk { return &Disk{name: name} }
