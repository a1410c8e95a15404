package journal

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
)

// maxField is how long a field's name may be, and maxValue how long its value:
// a log line is no place for a message.
const (
	maxField = 64
	maxValue = 8 << 10
)

// Send writes one entry; journal.Send of go-systemd is one.
type Send func(message string, priority journal.Priority, fields map[string]string) error

// Handler is a slog.Handler.
type Handler struct {
	send   Send
	level  slog.Leveler
	prefix string            // of the groups that are open
	fields map[string]string // of the attributes given by WithAttrs

	// text writes the attributes as in a text log to buf; every Handler that
	// came of one New shares them.
	text slog.Handler
	mu   *sync.Mutex
	buf  *bytes.Buffer
}

// New returns a Handler. A nil send means the journal of this machine.
func New(level slog.Leveler, send Send) *Handler {
	if send == nil {
		send = journal.Send
	}
	buf := &bytes.Buffer{}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}}

	return &Handler{send: send, level: level, text: slog.NewTextHandler(buf, options), mu: &sync.Mutex{}, buf: buf}
}

// Available tells whether standard error is the journal.
func Available() bool {
	is, err := journal.StderrIsJournalStream()

	return err == nil && is && journal.Enabled()
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	h.buf.Reset()
	err := h.text.Handle(ctx, r)
	attrs := strings.TrimSpace(h.buf.String())
	h.mu.Unlock()
	if err != nil {
		return err
	}
	message := r.Message
	if attrs != "" {
		message += " " + attrs
	}
	fields := make(map[string]string, len(h.fields)+r.NumAttrs())
	for k, v := range h.fields {
		fields[k] = v
	}
	r.Attrs(func(a slog.Attr) bool {
		add(fields, h.prefix, a)
		return true
	})

	return h.send(message, priority(r.Level), fields)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.fields = make(map[string]string, len(h.fields)+len(attrs))
	for k, v := range h.fields {
		with.fields[k] = v
	}
	for _, a := range attrs {
		add(with.fields, h.prefix, a)
	}
	with.text = h.text.WithAttrs(attrs)

	return &with
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.prefix = h.prefix + name + "_"
	with.text = h.text.WithGroup(name)

	return &with
}

func add(fields map[string]string, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "_"
		}
		for _, member := range v.Group() {
			add(fields, prefix, member)
		}
		return
	}
	if a.Key == "" {
		return
	}
	text := v.String()
	fields[field(prefix+a.Key)] = text[:min(len(text), maxValue)]
}

// field makes a key one that the journal takes: A to Z, digits and the
// underscore, and none of these two in front.
func field(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = name[:min(len(name), maxField)]
	if c := name[0]; c == '_' || c >= '0' && c <= '9' {
		name = "X" + name
	}
	switch name {
	case "MESSAGE", "PRIORITY":
		return "X_" + name
	}

	return name
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}

	return journal.PriDebug
}
