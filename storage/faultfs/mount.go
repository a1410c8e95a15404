package faultfs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Device is what the kernel offers FUSE through.
const Device = "/dev/fuse"

// Attr is what the process that mounts must be started with: a mount namespace
// of its own, and where it is not root, a user namespace in which it is.
func Attr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return a
}

// Mount mounts the file system that is served at the other end of conn.
func Mount(dir string, conn *net.UnixConn) error {
	fd, err := unix.Open(Device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", Device, err)
	}
	defer unix.Close(fd)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Geteuid(), os.Getegid())
	if err := unix.Mount("faultfs", dir, "fuse.faultfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fd), nil); err != nil {
		return fmt.Errorf("hand the mount over: %w", err)
	}
	return nil
}

// Serve takes the mount over from the process at the other end of conn and
// serves it until that process has ended, which closes ended.
func (f *FS) Serve(conn *net.UnixConn) (ended <-chan struct{}, err error) {
	fd, err := receive(conn)
	if err != nil {
		return nil, fmt.Errorf("take the mount over: %w", err)
	}
	// Nothing is kept by the kernel but the content of open files, so that
	// every system call arrives.
	s, err := fuse.NewServer(f, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		SingleThreaded: true, DisableXAttrs: true, DisableReadDirPlus: true,
		ExplicitDataCacheControl: true, MaxWrite: 64 << 10,
		Logger: log.New(io.Discard, "", 0), // it tells of each process that ends
	})
	if err != nil {
		return nil, fmt.Errorf("serve the mount: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve()
	}()
	return done, nil
}

func receive(conn *net.UnixConn) (int, error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(b[:], oob)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return 0, err
	}
	if len(messages) != 1 {
		return 0, errors.New("the other process did not mount it")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return 0, err
	}
	return fds[0], nil
}
