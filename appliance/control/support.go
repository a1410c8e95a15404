package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/support"
)

// SupportRequest asks for a support bundle.
type SupportRequest struct {
	// KeepNames leaves names and addresses as they are.
	KeepNames bool `json:"keep_names,omitempty"`
}

// How much of what grows is in a bundle.
const (
	supportLines   = 10_000
	supportRecords = 1000
)

// supportRoutes are the requests for a support bundle.
func (h *Handler) supportRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/support":  h.listSupport,
		"POST /v1/support": h.makeSupport,
	}
}

func (h *Handler) listSupport(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, h.supportParts())
}

func (h *Handler) makeSupport(w http.ResponseWriter, r *http.Request) error {
	var ask SupportRequest
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if !h.bundling.TryLock() {
		return &Error{Code: CodeBusy, Message: "a support bundle is being made already: try again in a minute", status: http.StatusConflict}
	}
	defer h.bundling.Unlock()
	known, err := h.supportKnown(r.Context())
	if err != nil {
		return err
	}
	// Before the first octet: a bundle that is cut off is one, too.
	names := "replaced"
	if ask.KeepNames {
		names = "kept"
	}
	if err := h.record(r.Context(), audit.Event{Kind: audit.SupportBundled, More: map[string]string{"names": names}}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	err = support.Write(r.Context(), w, "Pillarbox "+h.status.Version, time.Now(), h.supportParts(), support.NewRedactor(known, ask.KeepNames))
	if err != nil {
		h.log.ErrorContext(r.Context(), "a support bundle was cut off", "err", err)
		panic(http.ErrAbortHandler) // half an archive must not look like a whole one
	}

	return nil
}

// supportKnown returns the words that tell whose box it is.
func (h *Handler) supportKnown(ctx context.Context) (k support.Known, err error) {
	accounts, err := h.directory.List(ctx)
	if err != nil {
		return k, err
	}
	for _, a := range accounts {
		k.Names = append(k.Names, a.Name)
		devices, err := h.directory.Devices(ctx, a.Address)
		if err != nil {
			return k, err
		}
		for _, d := range devices {
			k.Names = append(k.Names, d.Name)
		}
	}
	if k.Domains, err = h.directory.Domains(ctx); err != nil || h.settings == nil {
		return k, err
	}
	for _, v := range h.settings().Versions() { // the audit record has what earlier ones said
		o := v.Document.Office
		k.Domains = append(k.Domains, o.Domain)
		// In JSON some signs are written otherwise, between words.
		k.Names = append(append(k.Names, o.Name), telling(o.Name)...)
	}

	return k, nil
}

// telling returns the words of an office's name that may tell whose it is.
func telling(name string) []string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })

	return slices.DeleteFunc(words, func(w string) bool { return len([]rune(w)) < 5 || strings.EqualFold(w, "office") })
}

// supportParts are what a bundle holds: mostly what other requests answer, as far
// as they are there.
func (h *Handler) supportParts() []support.Part {
	parts := []support.Part{
		{Name: "log.txt", Title: "the log of the last days, as far as it is kept", Write: h.supportLog},
		{Name: "system.txt", Title: "the program, the machine and its memory and disk", Write: h.supportSystem},
		{Name: "goroutines.txt", Title: "what the program is doing", Write: goProfile("goroutine", 1)},
		{Name: "heap.pprof", Title: "for what the program uses memory", Binary: true, Write: goProfile("heap", 0)},
		{Name: "kernel.txt", Title: "what the kernel said", Write: kernelLog},
	}
	for _, p := range []struct{ name, title, request, body string }{
		{"status.json", "the box, and what is wrong with it", "GET /v1/status", ""},
		{"pulse.json", "what it did in the last day", "GET /v1/pulse", ""},
		{"power.json", "its last starts, and what runs", "GET /v1/power", ""},
		{"settings.json", "the settings", "GET /v1/settings", ""},
		{"versions.json", "who changed them when", "GET /v1/settings/versions", ""},
		{"accounts.json", "the accounts, and what they use", "GET /v1/accounts", ""},
		{"certificate.json", "the certificate", "GET /v1/certificate", ""},
		{"ports.json", "how many use which port", "GET /v1/ports", ""},
		{"plans.json", "plans to leave a port", "GET /v1/plans", ""},
		{"bans.json", "who may not connect", "GET /v1/bans", ""},
		{"allowed.json", "who is never banned", "GET /v1/allowed", ""},
		{"network.json", "the network that was found", "GET /v1/network", ""},
		{"firewall.json", "the firewall's rules", "GET /v1/firewall", ""},
		{"imports.json", "mail that moves in", "GET /v1/imports", ""},
		{"exports.json", "mail that moves out", "GET /v1/exports", ""},
		{"doctor.json", "what the doctor found", "GET /v1/doctor/rounds", ""},
		{"metrics.txt", "what was counted", "GET /v1/metrics", ""},
		{"audit.json", "the newest records of who did what", fmt.Sprintf("GET /v1/audit/records?limit=%d", supportRecords), ""},
		{"audit-check.json", "whether somebody changed the records", "POST /v1/audit/verify", "{}"},
	} {
		method, path, _ := strings.Cut(p.request, " ")
		pattern, _, _ := strings.Cut(p.request, "?")
		if _, ok := slices.BinarySearch(h.patterns, pattern); !ok {
			continue
		}
		write := func(ctx context.Context, w io.Writer) error { return h.ask(ctx, w, method, path, p.body) }
		if p.name == "audit.json" && h.settings == nil {
			write = h.supportRecords
		}
		parts = append(parts, support.Part{Name: p.name, Title: p.title, Write: write})
	}

	return parts
}

// supportRecords writes the newest records where the settings cannot be asked for
// the words that tell whose box it is: without what settings were.
func (h *Handler) supportRecords(ctx context.Context, w io.Writer) error {
	all, err := h.audit.List(ctx, audit.Filter{Limit: supportRecords})
	if err != nil {
		return err
	}
	for _, e := range all {
		if topic, _, _ := strings.Cut(string(e.Kind), "."); topic == "config" || topic == "office" {
			delete(e.Values, "before")
			delete(e.Values, "after")
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")

	return enc.Encode(all)
}

// ask writes what another request answers, with JSON on lines of its own.
func (h *Handler) ask(ctx context.Context, w io.Writer, method, path, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	if err != nil {
		return err
	}
	a := &asked{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(a, r)
	var refused Error
	if a.status >= http.StatusBadRequest {
		if err := json.Unmarshal(a.Bytes(), &refused); err != nil || refused.Message == "" {
			return fmt.Errorf("the box answers %d", a.status)
		}
		return errors.New(refused.Message)
	}
	var lines bytes.Buffer
	if json.Indent(&lines, a.Bytes(), "", "  ") != nil {
		_, err = w.Write(a.Bytes())
		return err
	}
	_, err = w.Write(lines.Bytes())

	return err
}

// asked keeps an answer.
type asked struct {
	bytes.Buffer

	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (a *asked) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *asked) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter. Much more than a part holds is not kept.
func (a *asked) Write(p []byte) (int, error) {
	if a.Len()+len(p) > 2*support.MaxPart {
		return 0, errors.New("the answer is too long for a support bundle")
	}

	return a.Buffer.Write(p)
}

func (h *Handler) supportLog(_ context.Context, w io.Writer) error {
	switch {
	case h.logAll != nil:
		return h.logAll(w)
	case h.lines == nil:
		return errNoServer
	}
	for _, line := range h.lines(supportLines) {
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}

	return nil
}

// systemFiles are what Linux tells about the machine.
var systemFiles = []string{"/proc/version", "/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/mounts", "/proc/self/status", "/proc/self/limits", "/proc/pressure/io", "/proc/pressure/memory"}

func (h *Handler) supportSystem(_ context.Context, w io.Writer) error {
	fmt.Fprintf(w, "Pillarbox %s, %s %s/%s, %d processors\n\n", h.status.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			fmt.Fprintf(w, "%s %s\n", d.Path, d.Version)
		}
	}
	for _, name := range systemFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(err.Error() + "\n")
		}
		fmt.Fprintf(w, "\n%s\n%s", name, text)
	}

	return nil
}

// goProfile returns what writes one of Go's profiles.
func goProfile(name string, form int) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error { return pprof.Lookup(name).WriteTo(w, form) }
}

// kernelLog writes what the kernel said lately.
func kernelLog(_ context.Context, w io.Writer) error {
	text := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, text)
	if err != nil {
		return fmt.Errorf("the kernel does not tell it to this program: %w", err)
	}
	_, err = w.Write(text[:n])

	return err
}

// SupportParts tells what a support bundle would hold.
func (c *Client) SupportParts(ctx context.Context) ([]support.Part, error) {
	var parts []support.Part

	return parts, c.call(ctx, http.MethodGet, "/v1/support", nil, &parts)
}

// SupportBundle writes a support bundle: a ZIP archive.
func (c *Client) SupportBundle(ctx context.Context, w io.Writer, ask SupportRequest) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	res, err := c.do(ctx, http.MethodPost, "/v1/support", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("read the bundle: %w", err)
	}

	return nil
}
