package control

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"pillarbox/appliance/ports"
)

// CodeNoClient says that no client has an ID; it is stable.
const CodeNoClient = "no-client"

// portRoutes are the requests about who uses which port.
func (h *Handler) portRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/ports":              h.listPorts,
		"GET /v1/ports/clients":      h.listClients,
		"GET /v1/ports/clients/{id}": h.showClient,
		"GET /v1/ports/strangers":    h.listStrangers,
		"GET /v1/ports/simulate":     h.simulate,
	}
}

func (h *Handler) listPorts(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.ports.Ports())
}

func (h *Handler) listClients(w http.ResponseWriter, r *http.Request) error {
	q, err := portQuery(r)
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, h.ports.Clients(q))
}

func (h *Handler) showClient(w http.ResponseWriter, r *http.Request) error {
	c, err := h.ports.Client(r.PathValue("id"))
	if errors.Is(err, ports.ErrUnknown) {
		return &Error{Code: CodeNoClient, Message: err.Error(), status: http.StatusNotFound}
	}
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, c)
}

func (h *Handler) listStrangers(w http.ResponseWriter, r *http.Request) error {
	q, err := portQuery(r)
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, h.ports.Strangers(q))
}

func (h *Handler) simulate(w http.ResponseWriter, r *http.Request) error {
	f, err := h.ports.Simulate(ports.Scenario{
		Change: ports.What(r.URL.Query().Get("change")), Port: r.URL.Query().Get("port"),
	})
	if errors.Is(err, ports.ErrScenario) {
		return &Error{Code: CodeRequest, Message: err.Error(), status: http.StatusBadRequest}
	}
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, f)
}

// portQuery reads which clients or strangers are wanted.
func portQuery(r *http.Request) (q ports.Query, err error) {
	in := r.URL.Query()
	q.Port, q.Account = in.Get("port"), in.Get("account")
	if text := in.Get("address"); text != "" {
		if q.Address, err = netip.ParseAddr(text); err != nil {
			return q, &Error{Code: CodeRequest, Message: "address: " + err.Error(), status: http.StatusBadRequest}
		}
	}
	if text := in.Get("since"); text != "" {
		if q.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return q, &Error{Code: CodeRequest, Message: "since: " + err.Error(), status: http.StatusBadRequest}
		}
	}

	return q, nil
}

// portQueryText is the opposite of portQuery.
func portQueryText(q *ports.Query) string {
	out := url.Values{}
	set := func(key, value string) {
		if value != "" {
			out.Set(key, value)
		}
	}
	set("port", q.Port)
	set("account", q.Account)
	if q.Address.IsValid() {
		set("address", q.Address.String())
	}
	if !q.Since.IsZero() {
		set("since", q.Since.Format(time.RFC3339))
	}
	if len(out) == 0 {
		return ""
	}

	return "?" + out.Encode()
}

// Ports tells what is known of each port.
func (c *Client) Ports(ctx context.Context) (all []ports.Port, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/ports", nil, &all)
}

// PortClients lists clients, those seen last first.
func (c *Client) PortClients(ctx context.Context, q ports.Query) (all []ports.Client, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/ports/clients"+portQueryText(&q), nil, &all)
}

// PortClient returns the client with an ID.
func (c *Client) PortClient(ctx context.Context, id string) (found ports.Client, err error) {
	return found, c.call(ctx, http.MethodGet, "/v1/ports/clients/"+url.PathEscape(id), nil, &found)
}

// PortStrangers lists who connected without signing in, those seen last first.
func (c *Client) PortStrangers(ctx context.Context, q ports.Query) (all []ports.Stranger, err error) {
	return all, c.call(ctx, http.MethodGet, "/v1/ports/strangers"+portQueryText(&q), nil, &all)
}

// Simulate counts what a change would have broken.
func (c *Client) Simulate(ctx context.Context, s ports.Scenario) (f ports.Forecast, err error) {
	query := url.Values{"change": {string(s.Change)}, "port": {s.Port}}

	return f, c.call(ctx, http.MethodGet, "/v1/ports/simulate?"+query.Encode(), nil, &f)
}
