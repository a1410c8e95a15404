package faultfs

import (
	"math/rand/v2"
	"path"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// do runs one operation, or what the hook makes of it.
func (f *FS) do(op Op, run func(Fault) syscall.Errno) fuse.Status {
	f.serving.Lock()
	defer f.serving.Unlock()
	var fault Fault
	if f.hook != nil {
		fault = f.hook(op)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Err != 0 && fault.Part == 0 && op.Kind != "fsync" {
		return fuse.Status(fault.Err)
	}
	return fuse.Status(run(fault))
}

func (f *FS) on(kind string, id uint64, run func(n *node) syscall.Errno) fuse.Status {
	return f.do(Op{Kind: kind, Path: f.path(id)}, func(Fault) syscall.Errno {
		n := f.nodes[id]
		if n == nil {
			return syscall.ESTALE
		}
		return run(n)
	})
}

// in is on for a name in a folder.
func (f *FS) in(kind string, id uint64, name string, run func(n *node) syscall.Errno) fuse.Status {
	return f.do(Op{Kind: kind, Path: path.Join(f.path(id), name)}, func(Fault) syscall.Errno {
		n := f.nodes[id]
		if n == nil || !n.dir {
			return syscall.ENOTDIR
		}
		return run(n)
	})
}

func (f *FS) path(id uint64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.nodes[id]; n != nil {
		return n.path
	}
	return ""
}

func (n *node) attr(a *fuse.Attr) {
	a.Ino, a.Nlink, a.Blksize = n.id, uint32(n.links), 4096
	a.Mode, a.Size, a.Blocks = syscall.S_IFREG|0o600, uint64(len(n.data)), uint64(len(n.data)+511)/512
	if n.dir {
		a.Mode = syscall.S_IFDIR | 0o700
	}
}

// reach fills the answer for a name of a folder.
func (n *node) reach(folder *node, name string, out *fuse.EntryOut) {
	n.path = path.Join(folder.path, name)
	out.NodeId, out.Generation = n.id, 1
	n.attr(&out.Attr)
}

func (f *FS) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return f.in("lookup", h.NodeId, name, func(n *node) syscall.Errno {
		child := n.entries[name]
		if child == nil {
			return syscall.ENOENT
		}
		child.reach(n, name, out)
		return 0
	})
}

func (f *FS) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.on("getattr", in.NodeId, func(n *node) syscall.Errno {
		n.attr(&out.Attr)
		return 0
	})
}

func (f *FS) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return f.on("setattr", in.NodeId, func(n *node) syscall.Errno {
		if size, ok := in.GetSize(); ok && int(size) != len(n.data) {
			n.put(write{off: int64(size)})
		}
		n.attr(&out.Attr)
		return 0
	})
}

func (f *FS) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.in("mkdir", in.NodeId, name, func(n *node) syscall.Errno {
		if n.entries[name] != nil {
			return syscall.EEXIST
		}
		child := f.make(true)
		child.links = 2
		n.set(change{names: map[string]*node{name: child}})
		child.reach(n, name, out)
		return 0
	})
}

func (f *FS) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return f.in("create", in.NodeId, name, func(n *node) syscall.Errno {
		if n.entries[name] != nil {
			return syscall.EEXIST
		}
		child := f.make(false)
		n.set(change{names: map[string]*node{name: child}})
		child.reach(n, name, &out.EntryOut)
		return 0
	})
}

func (f *FS) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return f.in("link", in.NodeId, name, func(n *node) syscall.Errno {
		child := f.nodes[in.Oldnodeid]
		if n.entries[name] != nil {
			return syscall.EEXIST
		}
		child.links++
		n.set(change{names: map[string]*node{name: child}})
		child.reach(n, name, out)
		return 0
	})
}

func (f *FS) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.in("unlink", h.NodeId, name, func(n *node) syscall.Errno {
		child := n.entries[name]
		if child == nil {
			return syscall.ENOENT
		}
		child.links--
		n.set(change{names: map[string]*node{name: nil}})
		return 0
	})
}

func (f *FS) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return f.in("rmdir", h.NodeId, name, func(n *node) syscall.Errno {
		child := n.entries[name]
		switch {
		case child == nil:
			return syscall.ENOENT
		case len(child.entries) > 0:
			return syscall.ENOTEMPTY
		}
		n.set(change{names: map[string]*node{name: nil}})
		return 0
	})
}

func (f *FS) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return f.in("rename", in.NodeId, from, func(n *node) syscall.Errno {
		target := f.nodes[in.Newdir]
		child, old := n.entries[from], target.entries[to]
		switch {
		case child == nil:
			return syscall.ENOENT
		case in.Flags != 0:
			return syscall.EINVAL
		case old != nil && old.dir && len(old.entries) > 0:
			return syscall.ENOTEMPTY
		case old != nil && !old.dir:
			old.links--
		}
		if n == target {
			n.set(change{names: map[string]*node{from: nil, to: child}})
		} else {
			(&move{n, target}).rename(from, to)
		}
		child.path = path.Join(target.path, to)
		return 0
	})
}

func (f *FS) Open(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return f.on("open", in.NodeId, func(n *node) syscall.Errno {
		if in.Flags&syscall.O_TRUNC != 0 && len(n.data) > 0 {
			n.put(write{})
		}
		return 0
	})
}

func (f *FS) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	var got int
	status := f.do(Op{Kind: "read", Path: f.path(in.NodeId), Off: int64(in.Offset), Size: len(buf)}, func(Fault) syscall.Errno {
		if n := f.nodes[in.NodeId]; n != nil && in.Offset < uint64(len(n.data)) {
			got = copy(buf, n.data[in.Offset:])
		}
		return 0
	})
	return fuse.ReadResultData(buf[:got]), status
}

func (f *FS) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	status := f.do(Op{Kind: "write", Path: f.path(in.NodeId), Off: int64(in.Offset), Size: len(data)}, func(fault Fault) syscall.Errno {
		if fault.Part > 0 && fault.Part < len(data) {
			data = data[:fault.Part]
		}
		f.nodes[in.NodeId].put(write{int64(in.Offset), slices.Clone(data)})
		return 0
	})
	if !status.Ok() {
		return 0, status
	}
	return uint32(len(data)), status
}

func (f *FS) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.do(Op{Kind: "fsync", Path: f.path(in.NodeId)}, func(fault Fault) syscall.Errno {
		n := f.nodes[in.NodeId]
		if fault.Err != 0 {
			f.seed++
			n.syncFailed(Some(rand.New(rand.NewPCG(f.seed, 2))))
			return fault.Err
		}
		n.sync()
		return 0
	})
}

func (f *FS) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return f.on("fsyncdir", in.NodeId, func(n *node) syscall.Errno {
		n.sync()
		return 0
	})
}

func (f *FS) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return f.on("flush", in.NodeId, func(*node) syscall.Errno { return 0 })
}

func (f *FS) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return f.on("opendir", in.NodeId, func(*node) syscall.Errno { return 0 })
}

func (f *FS) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return f.on("readdir", in.NodeId, func(n *node) syscall.Errno {
		for i, name := range sorted(n.entries) {
			if uint64(i) < in.Offset {
				continue
			}
			child := n.entries[name]
			mode := uint32(syscall.S_IFREG)
			if child.dir {
				mode = syscall.S_IFDIR
			}
			if !out.AddDirEntry(fuse.DirEntry{Mode: mode, Name: name, Ino: child.id, Off: uint64(i) + 1}) {
				break
			}
		}
		return 0
	})
}

func (f *FS) StatFs(_ <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return f.on("statfs", h.NodeId, func(*node) syscall.Errno {
		out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
		out.Blocks, out.Bfree, out.Bavail = 1<<20, 1<<19, 1<<19
		out.Files, out.Ffree = 1<<20, 1<<19
		return 0
	})
}

func (f *FS) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.OK }

func (f *FS) String() string { return "faultfs" }
