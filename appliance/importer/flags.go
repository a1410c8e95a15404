package importer

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// systemFlags are those that storage has, in the case in which it has them.
var systemFlags = []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}

// sortedFlags returns flags in their usual case, sorted, each once, without
// \Recent and at most MaxFlags.
func sortedFlags(flags []imap.Flag) []imap.Flag {
	out := make([]imap.Flag, 0, len(flags))
	for _, f := range flags {
		if strings.EqualFold(string(f), `\Recent`) || f == "" || len(out) == MaxFlags {
			continue
		}
		for _, known := range systemFlags {
			if strings.EqualFold(string(f), string(known)) {
				f = known
			}
		}
		out = append(out, f)
	}
	slices.Sort(out)
	return slices.CompactFunc(out, func(a, b imap.Flag) bool { return strings.EqualFold(string(a), string(b)) })
}

// joinFlags writes sorted flags as Record.Flags has them; what does not fit is
// left out.
func joinFlags(flags []imap.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		if b.Len()+1+len(f) > maxRecordFlags || strings.Contains(string(f), " ") {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(f))
	}
	return b.String()
}

// splitFlags is the reverse of joinFlags.
func splitFlags(s string) []imap.Flag {
	if s == "" {
		return nil
	}
	var out []imap.Flag
	for f := range strings.SplitSeq(s, " ") {
		out = append(out, imap.Flag(f))
	}
	return out
}

// maxKeywordLength is storage's bound in octets.
const maxKeywordLength = 128

// storable tells whether storage can have a flag.
func storable(f imap.Flag) bool {
	if strings.HasPrefix(string(f), `\`) {
		return slices.Contains(systemFlags, f)
	}
	if f == "" || len(f) > maxKeywordLength {
		return false
	}
	for i := range len(f) {
		if c := f[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// changes returns what was set and removed between two sorted sets.
func changes(before, now []imap.Flag) (set, removed []imap.Flag) {
	has := func(list []imap.Flag, f imap.Flag) bool {
		return slices.ContainsFunc(list, func(g imap.Flag) bool { return strings.EqualFold(string(f), string(g)) })
	}
	for _, f := range now {
		if !has(before, f) {
			set = append(set, f)
		}
	}
	for _, f := range before {
		if !has(now, f) {
			removed = append(removed, f)
		}
	}
	return set, removed
}
