package imap

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

// maxLogged bounds what a client can put into the log at a time, in octets.
const maxLogged = 200

// id is ID (RFC 2971), in any state.
func (s *session) id(ctx context.Context, a *command.ID) error {
	if a.Params != nil {
		s.clientID = describe(a.Params)
		s.log.LogAttrs(ctx, slog.LevelDebug, "client named itself", slog.String("client", s.clientID))
		if s.srv.named != nil {
			s.srv.named(ctx, ClientID{shorten(a.Params["name"]), shorten(a.Params["version"]), shorten(a.Params["os"])})
		}
	}
	b := append(s.out.Buf, `* ID ("name" "Pillarbox" "vendor" "Pillarbox"`...)
	if s.srv.version != "" {
		b = append(b, ` "version" `...)
		b = wire.AppendString(b, s.srv.version, false)
	}
	s.out.Buf = append(b, ")\r\n"...)
	return nil
}

// describe makes one short line of what a client says it is: name and version
// first, the rest sorted.
func describe(params map[string]string) string {
	var parts []string
	for _, key := range []string{"name", "version"} {
		if v := params[key]; v != "" {
			parts = append(parts, v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if v := params[key]; v != "" && key != "name" && key != "version" {
			parts = append(parts, key+"="+v)
		}
	}
	return shorten(strings.Join(parts, " "))
}

// shorten makes what a client sent fit for a log line.
func shorten(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged]
	}
	return strings.ToValidUTF8(text, "?")
}
