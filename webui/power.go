package webui

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// powerPage is what there is to know before the box is ended.
type powerPage struct {
	Orders  []string    `json:"orders"`
	Version string      `json:"version"`
	Started time.Time   `json:"started"`
	Booted  time.Time   `json:"booted"`
	Starts  []boxStart  `json:"starts"` // the oldest first
	Usual   int         `json:"usual_seconds"`
	Ports   []boxPort   `json:"ports"`
	People  []string    `json:"people"`
	Work    []powerWork `json:"work"`

	Order string `json:"-"` // restart or off
	Run   string `json:"-"` // tells this run of the server from the next
}

type powerWork struct {
	What string `json:"what"`
	Then string `json:"then"`
}

// boxPort is who is connected by a port.
type boxPort struct {
	Name        string `json:"name"`
	Port        int    `json:"port"`
	Connections int    `json:"connections"`
}

// boxStart is why the server started.
type boxStart struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	Why     string    `json:"why"`
	Reason  string    `json:"reason"`
	Machine bool      `json:"machine"`
	Stopped time.Time `json:"stopped"`
}

// The orders, and how long starting anew is said to take where nobody measured.
const (
	orderRestart = "restart"
	orderOff     = "off"

	usualRestart = time.Minute
)

// powerRoutes are there where the box has its machine to itself.
func (s *Server) powerRoutes() []Route {
	if !s.conf.Power {
		return nil
	}

	return []Route{
		{Pattern: "GET /power", Role: Auditor, Nav: "Power", Section: "System", Handle: (*visit).power},
		{Pattern: "GET /power/run", Role: Auditor, Handle: (*visit).powerRun},
		{Pattern: "GET /power/{order}", Role: Administrator, Fresh: true, Handle: (*visit).askPower},
		{Pattern: "POST /power/{order}", Role: Administrator, Fresh: true, Handle: (*visit).orderPower},
	}
}

func (v *visit) powerData() (*powerPage, error) {
	d := &powerPage{}
	if err := v.call(http.MethodGet, "/v1/power", nil, d); err != nil {
		return nil, err
	}
	d.Run = strconv.FormatInt(d.Started.UnixNano(), 36)

	return d, nil
}

func (v *visit) power() error {
	d, err := v.powerData()
	if err != nil {
		return err
	}
	slices.Reverse(d.Starts)

	return v.show("power", "Power", d)
}

// powerRun tells a page that waits whether the box is another run by now.
func (v *visit) powerRun() error {
	d, err := v.powerData()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = v.w.Write([]byte(d.Run)) // a browser that has gone asks again

	return nil
}

// askedPower is what an order's page shows.
func (v *visit) askedPower() (*powerPage, error) {
	order := v.r.PathValue("order")
	if order != orderRestart && order != orderOff {
		return nil, errNotFound
	}
	d, err := v.powerData()
	if err == nil {
		d.Order = order
	}

	return d, err
}

func (v *visit) askPower() error {
	d, err := v.askedPower()
	if err != nil {
		return err
	}

	return v.show("powerask", d.Title(), d)
}

// orderPower ends the box. The answer is the page that waits, as nobody would
// answer for another one; sent again, when the box is back, the form does nothing.
func (v *visit) orderPower() error {
	d, err := v.askedPower()
	if err != nil {
		return err
	}
	if v.value("run") != d.Run {
		v.flash("warning", "Nothing was done: the box has started since that page was made. Ask again if it is still wanted.")
		v.seeOther("/power")
		return nil
	}
	switch err := v.call(http.MethodPost, "/v1/power/"+d.Order, nil, nil); {
	case isCode(err, "power"):
		return v.again("powerask", d.Title(), d, problems{"": sentence(err.Error())})
	case err != nil && !isCode(err, "unrecorded"):
		return err
	}
	v.w.Header().Set("Connection", "close")
	title := "The box starts anew"
	if d.Order == orderOff {
		title = "The box is being switched off"
	}

	return v.show("powerwait", title, d)
}

// Title asks whether it is wanted.
func (d *powerPage) Title() string {
	if d.Order == orderOff {
		return "Switch the box off?"
	}

	return "Start the box anew?"
}

// May tells whether the machine takes orders.
func (d *powerPage) May() bool { return len(d.Orders) > 0 }

// Connections are those of mail programs.
func (d *powerPage) Connections() (n int) {
	for _, p := range d.Ports {
		n += p.Connections
	}

	return n
}

// Lasts is how long starting anew is likely to take.
func (d *powerPage) Lasts() string {
	if d.Usual > 0 {
		return "It took " + span(time.Duration(d.Usual)*time.Second) + " last time."
	}

	return "It usually takes about a minute."
}

// Later is after how many seconds a page without a script looks again: before
// that the browser would find nobody, and would not try once more.
func (d *powerPage) Later() int {
	return 2*max(d.Usual, int(usualRestart/time.Second)) + 15
}

// Words tells why a start came.
func (s boxStart) Words() string {
	because := ""
	if s.Reason != "" {
		because = ": " + s.Reason
	}
	switch s.Why {
	case "first":
		return "For the first time."
	case orderRestart:
		return sentence("started anew by " + s.Reason)
	case orderOff:
		return sentence("switched on again, having been switched off by " + s.Reason)
	case "stopped":
		if s.Machine {
			return "The box had been stopped in order."
		}
		return "The server had been stopped in order."
	case "error":
		return sentence("the server had ended by an error" + because)
	case "crash":
		return sentence("the server had broken down" + because)
	case "killed":
		return "The server had been killed, by somebody or for want of memory."
	case "power-cut":
		return "The power had been cut, or the kernel had stopped."
	}

	return "It is not known why."
}

// Bad tells whether a start was nobody's wish.
func (s boxStart) Bad() bool {
	return slices.Contains([]string{"error", "crash", "killed", "power-cut"}, s.Why)
}
