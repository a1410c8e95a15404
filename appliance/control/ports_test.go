package control_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"pillarbox/appliance/control"
	"pillarbox/appliance/ports"
)

// emptyDisk is one on which nothing is.
type emptyDisk struct{}

func (emptyDisk) Load(string, func(string, []byte) error) error { return nil }
func (emptyDisk) Save(context.Context, []ports.Change) error    { return nil }

func TestWrongQuestionsAboutPorts(t *testing.T) {
	inv, err := ports.Open(&ports.Config{Logger: discard(), Store: emptyDisk{}})
	if err != nil {
		t.Fatal(err)
	}
	h := control.NewHandler(&control.Config{Ports: inv, Logger: discard()})
	for path, want := range map[string]int{
		"/v1/ports":                                http.StatusOK,
		"/v1/ports/clients":                        http.StatusOK,
		"/v1/ports/clients?address=somewhere":      http.StatusBadRequest,
		"/v1/ports/clients?since=lately":           http.StatusBadRequest,
		"/v1/ports/clients/0123456789":             http.StatusNotFound,
		"/v1/ports/strangers?port=imaps":           http.StatusOK,
		"/v1/ports/strangers?address=somewhere":    http.StatusBadRequest,
		"/v1/ports/simulate":                       http.StatusBadRequest,
		"/v1/ports/simulate?change=close":          http.StatusBadRequest,
		"/v1/ports/simulate?change=tls13":          http.StatusOK,
		"/v1/ports/simulate?change=close&port=any": http.StatusOK,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
}
