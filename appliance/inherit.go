package appliance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"pillarbox/appliance/smtp"
)

// inherit takes over the sockets that systemd opened for this process. Each is
// to bear, as its FileDescriptorName, the name of the service that it is for.
// Nothing is returned where there are none.
func inherit() ([]*listener, error) {
	files := activation.Files(true)
	var (
		all  []*listener
		errs []error
	)
	for _, f := range files {
		l, err := takeOver(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("take over the socket %q from systemd: %w", f.Name(), err))
			continue
		}
		all = append(all, l)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errors.Join(errs...), closeListeners(all))
	}

	return all, nil
}

// takeOver makes a listener of a socket and closes f.
func takeOver(f *os.File) (*listener, error) {
	ln, err := net.FileListener(f) // of a duplicate
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := fits(f.Name(), ln.Addr()); err != nil {
		return nil, errors.Join(err, ln.Close())
	}

	return &listener{Listener: ln, name: f.Name(), inherited: true}, nil
}

// fits tells whether a service may listen on an address.
func fits(name string, addr net.Addr) error {
	switch {
	case !slices.Contains([]string{nameIMAPS, nameLegacy, nameLMTP, nameHTTP, nameHTTPS}, name):
		return fmt.Errorf("FileDescriptorName must be one of %s, %s, %s, %s, %s", nameIMAPS, nameLegacy, nameLMTP, nameHTTP, nameHTTPS)
	case name != nameLMTP && addr.Network() != "tcp":
		return fmt.Errorf("%s is served over TCP, not on a %s socket", name, addr.Network())
	case name == nameLMTP && addr.Network() == "tcp":
		if p, err := netip.ParseAddrPort(addr.String()); err != nil || !p.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(addr.String(), "unix:"), smtp.ErrNotLoopback)
		}
	}

	return nil
}

// has tells whether one of all is for a service.
func has(all []*listener, name string) bool {
	return slices.ContainsFunc(all, func(l *listener) bool { return l.name == name })
}
