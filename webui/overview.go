package webui

import (
	"net/http"
	"slices"
	"time"
)

// boxStatus is how the box is.
type boxStatus struct {
	Version     string      `json:"version"`
	Started     time.Time   `json:"started"`
	Hostname    string      `json:"hostname"`
	Connections int         `json:"connections"`
	Banned      int         `json:"banned"`
	Health      []condition `json:"health"`
	Listeners   []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	} `json:"listeners"`
}

// condition is something that is wrong with the box.
type condition struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Severity string    `json:"severity"`
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`
}

// Page returns the path of the page on which a condition is put right or shown
// in full, "" where there is none.
func (c *condition) Page() string {
	switch c.Name {
	case "certificate", "certificate-expires", "certificate-names":
		return "/certificates"
	case "device-certificates", "accounts":
		return "/people"
	case "ports", "port-unused":
		return "/ports"
	case "audit", "audit-mail":
		return "/audit"
	case "firewall":
		return "/firewall"
	case "settings":
		return "/settings"
	case "restarted":
		return "/power"
	case "storage-read", "storage-write", "control", "device-start", "provisioning", "data-partition", "data-partition-mended", "clock-not-set":
		return "/logs"
	}

	return ""
}

// boxPulse is what the box did lately.
type boxPulse struct {
	Since time.Time `json:"since"`
	Hours []struct {
		Begins    time.Time `json:"begins"`
		Delivered int64     `json:"delivered"`
		Failed    int64     `json:"failed"`
	} `json:"hours"`
	Ports       []portPulse `json:"ports"`
	DiskFree    int64       `json:"disk_free"`
	DiskSize    int64       `json:"disk_size"`
	Certificate *time.Time  `json:"certificate"` // when it expires
	Accounts    int         `json:"accounts"`
}

type portPulse struct {
	Name        string `json:"name"`
	Port        int    `json:"port"`
	Connections int    `json:"connections"`
}

// overview is what the first page shows.
type overview struct {
	Status boxStatus
	Pulse  boxPulse
	Verdict
	Chart     chart
	Delivered int64
	Failed    int64
	DiskUsed  int // percent
	CertDays  int
	Trouble   bool // the state of mail could not be told
	First     bool // the first steps are not done
}

// Verdict is the answer to whether mail is flowing.
type Verdict struct {
	Kind, Title, Text string
}

func (s *Server) overviewRoutes() []Route {
	return []Route{
		{Pattern: "GET /{$}", Role: Auditor, Nav: "Overview", Section: "Box", Handle: (*visit).overview},
		{Pattern: "GET /live/overview", Role: Auditor, Stream: true, Handle: (*visit).overviewLive},
	}
}

func (v *visit) overview() error {
	d, err := v.lookAround()
	if err != nil {
		return err
	}

	return v.show("overview", "Overview", d)
}

func (v *visit) overviewLive() error {
	return v.stream(5*time.Second, func() (string, error) {
		d, err := v.lookAround()
		if err != nil {
			return "", err
		}
		return v.piece("overview", "now", d)
	})
}

func (v *visit) lookAround() (*overview, error) {
	d := &overview{First: v.s.office.now().Step < lastStep && v.may(Administrator)}
	if err := v.call(http.MethodGet, "/v1/status", nil, &d.Status); err != nil {
		return nil, err
	}
	if err := v.call(http.MethodGet, "/v1/pulse", nil, &d.Pulse); err != nil {
		return nil, err
	}
	points := make([]point, len(d.Pulse.Hours))
	for i, h := range d.Pulse.Hours {
		d.Delivered += h.Delivered
		d.Failed += h.Failed
		points[i] = point{h.Begins.In(v.s.office.zone()).Format("15:04"), h.Delivered}
	}
	d.Chart = newChart(points)
	if d.Pulse.DiskSize > 0 {
		d.DiskUsed = int(100 - 100*d.Pulse.DiskFree/d.Pulse.DiskSize)
	}
	if c := d.Pulse.Certificate; c != nil {
		d.CertDays = int(c.Sub(v.s.now()) / (24 * time.Hour))
	}
	d.Verdict = d.judge()

	return d, nil
}

// judge tells whether mail is flowing, as the worst condition has it.
func (d *overview) judge() Verdict {
	worst := ""
	for _, severity := range []string{"high", "medium"} {
		for _, c := range d.Status.Health {
			if c.Severity == severity && worst == "" {
				worst = severity
			}
		}
	}
	open := slices.ContainsFunc(d.Pulse.Ports, func(p portPulse) bool { return p.Name == "imaps" })
	switch {
	case worst == "high":
		return Verdict{"error", "Mail needs your help", "Something keeps mail from working, or may lose some. What to do is below."}
	case !open:
		return Verdict{"error", "Nobody can read mail", "The port for mail programs, 993, is closed."}
	case d.Pulse.Accounts == 0:
		return Verdict{"warning", "Ready for people", "Mail works. Add the people of the office, so that some can come."}
	case worst == "medium":
		return Verdict{"warning", "Mail is flowing", "Something wants to be looked at soon. It is below."}
	}

	return Verdict{"ok", "Mail is flowing", "Nothing needs your attention."}
}
