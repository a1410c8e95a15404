package control

import (
	"context"
	"net/http"
	"time"
)

// Pulse is what the box did lately.
type Pulse struct {
	Since time.Time   `json:"since"` // when the server started; what was before is not counted
	Hours []PulseHour `json:"hours"` // of the last day, the present one last
	Ports []PulsePort `json:"ports"` // those for mail that are open

	DiskFree    int64      `json:"disk_free"` // octets
	DiskSize    int64      `json:"disk_size"`
	Certificate *time.Time `json:"certificate,omitempty"` // when the one that is presented first expires
	Accounts    int        `json:"accounts"`
}

// PulseHour is what came in an hour.
type PulseHour struct {
	Begins    time.Time `json:"begins"`
	Delivered int64     `json:"delivered"` // messages, each as often as it has recipients
	Failed    int64     `json:"failed"`
}

// PulsePort is who is connected by a port.
type PulsePort struct {
	Name        string `json:"name"`
	Port        int    `json:"port"`
	Connections int    `json:"connections"`
}

func (h *Handler) getPulse(w http.ResponseWriter, r *http.Request) error {
	if h.pulse == nil {
		return errNoServer
	}

	return writeJSON(w, http.StatusOK, h.pulse(r.Context()))
}

// Pulse asks what the box did lately.
func (c *Client) Pulse(ctx context.Context) (Pulse, error) {
	var p Pulse

	return p, c.call(ctx, http.MethodGet, "/v1/pulse", nil, &p)
}
