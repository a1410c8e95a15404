package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxAddresses bounds how many addresses of a name are tried of each family.
const maxAddresses = 4

// port is a port that is examined.
type port struct {
	number  uint16
	service Service
	addr    netip.AddrPort // where it answered first
}

// String is what the reader knows it by.
func (p *port) String() string { return strconv.Itoa(int(p.number)) }

// attempt is one connection that was tried.
type attempt struct {
	to   netip.AddrPort
	err  error
	took time.Duration
}

// usualPorts are those of mail servers. What 990 speaks is found out.
func usualPorts() []*port {
	return []*port{
		{number: 993, service: IMAPS}, {number: 990}, {number: 143, service: IMAP},
		{number: 465, service: Submissions}, {number: 587, service: Submission}, {number: 25, service: SMTP},
	}
}

// serverStep is the examination of the host itself.
func (x *examination) serverStep() step {
	var addrs []netip.Addr
	var open []*port
	return step{
		name: "the name " + x.Host,
		run:  func(ctx context.Context) bool { addrs = x.resolve(ctx); return len(addrs) > 0 },
		below: []step{{
			name:  "connecting",
			run:   func(ctx context.Context) bool { open = x.reach(ctx, addrs); return len(open) > 0 },
			more:  func() []step { return x.portSteps(open) },
			below: []step{{name: "the reverse DNS", run: func(ctx context.Context) bool { x.reverse(ctx, addrs, open); return true }}},
		}},
	}
}

// resolve finds the host's addresses.
func (x *examination) resolve(ctx context.Context) []netip.Addr {
	if a, err := netip.ParseAddr(x.Host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	addrs, err := x.lookup(ctx, x.Host)
	switch {
	case isNotFound(err), err == nil && len(addrs) == 0:
		x.find("name-unknown", "", fmt.Sprintf("the DNS knows no address of %s", x.Host), place{})
	case err != nil:
		x.find("dns-silent", "", fmt.Sprintf("the name server does not say what the address of %s is: %v", x.Host, err), place{})
	}

	return addrs
}

// lookup finds the addresses of a name, a few of each family.
func (d *Doctor) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	found, err := d.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	count := map[bool]int{}
	for _, a := range found {
		a = a.Unmap()
		if count[a.Is4()] < maxAddresses && !slices.Contains(addrs, a) {
			count[a.Is4()]++
			addrs = append(addrs, a)
		}
	}

	return addrs, nil
}

func isNotFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// reach tries the ports at all addresses, side by side.
func (x *examination) reach(ctx context.Context, addrs []netip.Addr) []*port {
	ports := usualPorts()
	if x.Port != 0 {
		ports = []*port{{number: x.Port, service: x.Service}}
	}
	tried := map[*port][]attempt{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, p := range ports {
		for _, a := range addrs {
			wait.Go(func() {
				to := netip.AddrPortFrom(a, p.number)
				begun := time.Now()
				conn, err := dial(ctx, to)
				if err == nil {
					_ = conn.Close()
				}
				mu.Lock()
				defer mu.Unlock()
				tried[p] = append(tried[p], attempt{to, err, time.Since(begun)})
			})
		}
	}
	wait.Wait()
	var open []*port
	for _, p := range ports {
		slices.SortFunc(tried[p], func(a, b attempt) int { return a.to.Addr().Compare(b.to.Addr()) })
		for _, a := range tried[p] {
			if a.err == nil {
				p.addr = a.to
				open = append(open, p)
				x.report.Timings = append(x.report.Timings, Timing{"connect " + a.to.String(), float64(a.took.Microseconds()) / 1000})
				break
			}
		}
	}
	x.judgeReach(ports, open, tried)

	return open
}

func dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTime}

	return d.DialContext(ctx, "tcp", to.String())
}

// judgeReach says what is wrong with what could not be reached.
func (x *examination) judgeReach(ports, open []*port, tried map[*port][]attempt) {
	if len(open) == 0 {
		x.judgeSilence(ports, tried)
		return
	}
	byNumber := func(n uint16) bool {
		return slices.ContainsFunc(open, func(p *port) bool { return p.number == n })
	}
	if x.Port == 0 {
		switch mail := byNumber(25) || byNumber(465) || byNumber(587); {
		case byNumber(993):
		case byNumber(143) || byNumber(990) || !mail:
			x.find("imaps-closed", "993", "nothing answers on port 993, where mail programs look for IMAP", place{port: 993})
		default:
			x.skip("IMAP", "the host answers for SMTP only")
		}
		if byNumber(990) {
			x.find("imaps-990", "990", "port 990 is open", place{port: 990})
		}
	}
	// One address that does not answer on any port that is open is one cause.
	for _, p := range open {
		for _, a := range tried[p] {
			family, id := "IPv4", "ipv4-silent"
			if a.to.Addr().Is6() {
				family, id = "IPv6", "ipv6-silent"
			}
			switch {
			case a.err == nil:
			case errors.Is(a.err, syscall.ENETUNREACH), errors.Is(a.err, syscall.EADDRNOTAVAIL), errors.Is(a.err, syscall.EAFNOSUPPORT):
				x.skip("connecting to "+a.to.Addr().String(), "this machine has no way to "+family)
			default:
				x.find(id, p.String(), fmt.Sprintf("%s is an address of %s but does not answer there: %s", a.to.Addr(), x.Host, refusal(a.err)),
					place{host: a.to.Addr().String(), port: p.number})
			}
		}
	}
}

// judgeSilence says what is wrong where nothing answers.
func (x *examination) judgeSilence(ports []*port, tried map[*port][]attempt) {
	var refused, silent, blind int
	for _, all := range tried {
		for _, a := range all {
			switch {
			case errors.Is(a.err, syscall.ECONNREFUSED), errors.Is(a.err, syscall.ECONNRESET):
				refused++
			case errors.Is(a.err, syscall.ENETUNREACH), errors.Is(a.err, syscall.EADDRNOTAVAIL), errors.Is(a.err, syscall.EAFNOSUPPORT):
				blind++
			default:
				silent++
			}
		}
	}
	where, what := "", "any port of mail"
	if x.Port != 0 {
		where = strconv.Itoa(int(x.Port))
		what = "port " + where
	}
	see := place{port: ports[0].number}
	switch {
	case refused > 0:
		x.find("port-closed", where, fmt.Sprintf("%s is there, but no program listens on %s", x.Host, what), see)
	case silent > 0:
		x.find("port-silent", where, fmt.Sprintf("%s gives no answer on %s: a firewall on the way drops it, or the machine is off", x.Host, what), see)
	case blind > 0:
		x.find("no-route", where, "this machine knows no way to "+x.Host, see)
	}
}

func refusal(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "there is no answer in time"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "the machine is not there"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the server ends the connection"
	}

	return err.Error()
}

// reverse checks that the names of the addresses lead back. Other servers ask
// for it of whoever sends mail; mail programs do not.
func (x *examination) reverse(ctx context.Context, addrs []netip.Addr, open []*port) {
	sends := slices.ContainsFunc(open, func(p *port) bool { return p.service == SMTP })
	for _, a := range addrs {
		asking, cancel := context.WithTimeout(ctx, conversationTime)
		names, err := x.resolver.LookupAddr(asking, a.String())
		cancel()
		see := place{address: a.String()}
		id := func(bad, good string) string {
			if sends {
				return bad
			}
			return good
		}
		switch {
		case (isNotFound(err) || err == nil && len(names) == 0) && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()):
			x.skip("the reverse DNS of "+a.String(), "it is an address of a private network, and has no name")
		case isNotFound(err) || err == nil && len(names) == 0:
			x.find(id("reverse-missing", "reverse-missing-note"), a.String(), "the address has no name in the reverse DNS", see)
		case err != nil:
			x.skip("the reverse DNS of "+a.String(), "the name server gives no answer: "+err.Error())
		case !slices.ContainsFunc(names, func(name string) bool {
			back, err := x.lookup(ctx, name)
			return err == nil && slices.Contains(back, a)
		}):
			x.find(id("reverse-mismatch", "reverse-mismatch-note"), a.String(),
				fmt.Sprintf("the reverse DNS calls the address %s, but that name does not lead back to it", strings.TrimSuffix(names[0], ".")), see)
		}
	}
}

// detect finds out what a port speaks: servers greet first where TLS does not
// begin at once.
func (x *examination) detect(ctx context.Context, p *port) bool {
	if p.service != "" {
		return true
	}
	if line, err := x.greeting(ctx, p, false); err == nil {
		return x.detected(ctx, p, line, false)
	}
	line, err := x.greeting(ctx, p, true)
	if err != nil {
		x.find("not-mail", p.String(), fmt.Sprintf("port %s takes the connection but speaks neither IMAP, SMTP nor LMTP, with or without TLS: %s", p, handshakeReason(err)), place{port: p.number})
		return false
	}

	return x.detected(ctx, p, line, true)
}

// detected tells by a greeting what a port speaks.
func (x *examination) detected(ctx context.Context, p *port, line string, secure bool) bool {
	switch {
	case strings.HasPrefix(line, "* "):
		p.service = IMAP
		if secure {
			p.service = IMAPS
		}
	case strings.HasPrefix(line, "220") && secure:
		p.service = Submissions
	case strings.HasPrefix(line, "220") && strings.Contains(strings.ToUpper(line), "LMTP"):
		p.service = LMTP
	case strings.HasPrefix(line, "220"), strings.HasPrefix(line, "421"), strings.HasPrefix(line, "554"):
		p.service = SMTP
		if !secure && x.speaksLMTP(ctx, p) {
			p.service = LMTP
		}
	default:
		x.find("not-mail", p.String(), fmt.Sprintf("port %s greets with %s, which is neither IMAP, SMTP nor LMTP", p, quote(line)), place{port: p.number})
		return false
	}

	return true
}

// greeting reads the first line of a port.
func (x *examination) greeting(ctx context.Context, p *port, secure bool) (string, error) {
	conn, err := dial(ctx, p.addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	limit := 3 * time.Second // most greet at once; some look up the client's name first
	if secure {
		limit = conversationTime
	}
	_ = conn.SetDeadline(time.Now().Add(limit))
	if secure {
		if conn, err = x.handshake(ctx, conn); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReaderSize(conn, maxLine).ReadSlice('\n')

	return strings.TrimRight(string(line), "\r\n"), err
}

// speaksLMTP tells by which of the greetings a server takes.
func (x *examination) speaksLMTP(ctx context.Context, p *port) bool {
	conn, err := dial(ctx, p.addr)
	if err != nil {
		return false
	}
	t := newTalk(conn)
	defer t.close()
	if _, err := t.reply(); err != nil {
		return false
	}
	r, err := t.ask("LHLO " + t.literal())

	return err == nil && r.code == 250
}
