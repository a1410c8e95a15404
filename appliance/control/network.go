package control

import (
	"context"
	"encoding/json"
	"net/http"
)

// networkRoutes are the requests about the network as it is; what it is to be
// stands in the settings.
func (h *Handler) networkRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{"GET /v1/network": h.getNetwork}
}

func (h *Handler) getNetwork(w http.ResponseWriter, _ *http.Request) error {
	if h.network == nil {
		return errNoNetwork
	}
	found, err := h.network()
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, found)
}

var errNoNetwork = &Error{Code: CodeNoServer, Message: "nobody looks at this machine's network", status: http.StatusNotFound}

// Network tells which network is found.
func (c *Client) Network(ctx context.Context) (found json.RawMessage, err error) {
	return found, c.call(ctx, http.MethodGet, "/v1/network", nil, &found)
}
