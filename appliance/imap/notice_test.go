package imap_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"pillarbox/appliance/imap"
)

// notices tells what its fields say, and remembers who came.
type notices struct {
	mu     sync.Mutex
	turned string
	notice map[string]imap.Notice // by address
	came   []string
}

func (n *notices) Turned(net.Conn) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.turned
}

func (n *notices) Notice(_ context.Context, a *imap.Arrival) imap.Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.came = append(n.came, string(a.Account)+" by "+a.Mechanism)
	return n.notice[string(a.Account)]
}

func TestPeopleAreToldOfTheWayByWhichTheyCome(t *testing.T) {
	var signIns []imap.SignIn
	n := &notices{notice: map[string]imap.Notice{
		"alice": {Alerts: []string{"Use port 993\r\n* BYE soon, gr\xc3\xbc\xc3\x9fe", "And TLS 1.3"}},
		"bob":   {Alerts: []string{"Your telephone must use port 993 now"}, Refuse: true},
	}}
	o := newOffice(t, func(c *imap.Config) {
		c.Notices = n
		c.SignedIn = func(_ context.Context, s imap.SignIn) { signIns = append(signIns, s) }
	})
	c := o.dial()
	c.do("LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] The name or the password is wrong")
	c.do("LOGIN alice secret", "* OK [ALERT] Use port 993* BYE soon, gre", "* OK [ALERT] And TLS 1.3", "OK [CAPABILITY …] Logged in")
	c.do("NOOP", "OK NOOP completed") // once is enough

	for _, command := range []string{"LOGIN bob secret", "AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ="} {
		refused := o.dial()
		refused.do(command, "NO [ALERT] Your telephone must use port 993 now")
		refused.expect("* BYE Not by this way any more")
		refused.closed()
	}
	if got := strings.Join(n.came, ", "); got != "alice by LOGIN, bob by LOGIN, bob by PLAIN" {
		t.Errorf("came: %s", got)
	}
	if len(signIns) != 4 || !signIns[2].Turned || signIns[2].Failure == "" || signIns[1].Turned || signIns[0].Turned {
		t.Errorf("sign-ins: %+v", signIns)
	}
	if s := o.server.Stats(); s.FailedLogins != 1 || s.Logins != 1 {
		t.Errorf("counted: %+v", s)
	}

	n.mu.Lock()
	n.turned = "IMAP has moved to port 993"
	n.mu.Unlock()
	gone := o.dialRaw()
	gone.expect("* BYE [ALERT] IMAP has moved to port 993")
	gone.closed()
	c.do("NOOP", "OK NOOP completed") // who is there may stay

	if ended := o.server.DisconnectIf(func(a *imap.Arrival) bool { return a.Account == "bob" }, "[ALERT] over"); ended != 0 {
		t.Errorf("ended %d of nobody's sessions", ended)
	}
	if ended := o.server.DisconnectIf(func(a *imap.Arrival) bool { return a.Mechanism == "LOGIN" }, "[ALERT] over"); ended != 1 {
		t.Errorf("ended %d sessions", ended)
	}
	c.expect("* BYE [ALERT] over")
	c.closed()
}
