package mailfile

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// ManifestName is the file at the root of an export that tells what it holds.
// Maildir and mbox programs pass over it.
const ManifestName = "pillarbox-export.json"

// manifestVersion is that of the manifest's form.
const manifestVersion = 1

// maxManifest bounds a manifest in octets: 10,000 mailboxes with long names.
const maxManifest = 32 << 20

// Manifest tells what an export holds: what has no place in a Maildir or an mbox.
type Manifest struct {
	Version   int                         `json:"version"`
	Kind      Kind                        `json:"kind"`
	Account   string                      `json:"account"`
	Complete  *time.Time                  `json:"complete,omitempty"` // when all was there and verified; nil while it is not
	Mailboxes []ManifestMailbox           `json:"mailboxes"`
	Refused   []ManifestRefusal           `json:"refused,omitempty"` // messages that are not in the export
	Subscribe []string                    `json:"subscriptions,omitempty"`
	byPath    map[string]*ManifestMailbox // those whose names are good
}

// ManifestMailbox is a mailbox of an export.
type ManifestMailbox struct {
	Name        string           `json:"name"`
	Path        string           `json:"path"` // from the manifest's folder, with "/"
	SpecialUse  imap.MailboxAttr `json:"special_use,omitempty"`
	UIDValidity uint32           `json:"uid_validity"`
	UIDNext     imap.UID         `json:"uid_next"`
	Messages    int              `json:"messages"`
	Bytes       int64            `json:"bytes"`
}

// ManifestRefusal is a message that could not be exported.
type ManifestRefusal struct {
	Mailbox string   `json:"mailbox"`
	UID     imap.UID `json:"uid"`
	Reason  string   `json:"reason"`
}

// ReadManifest reads the manifest of a folder; nil if there is none.
func ReadManifest(dir string) (*Manifest, error) {
	f, err := openRegular(filepath.Join(dir, ManifestName))
	if err != nil {
		return nil, nil // a folder without one is no export
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ManifestName, err)
	}

	return parseManifest(text)
}

func parseManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; move that file away to take what is there without it", ManifestName, err)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s was written by a newer version of pillarbox", ManifestName)
	}
	m.byPath = map[string]*ManifestMailbox{}
	for i := range m.Mailboxes {
		if mb := &m.Mailboxes[i]; !slices.Contains(strings.Split(mb.Name, "/"), "") {
			m.byPath[filepath.FromSlash(mb.Path)] = mb
		}
	}

	return &m, nil
}

// Encode returns the manifest as it is written.
func (m *Manifest) Encode() ([]byte, error) {
	m.Version = manifestVersion
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", ManifestName, err)
	}

	return append(b, '\n'), nil
}

// at finds a mailbox by its path; nil if there is none.
func (m *Manifest) at(path string) *ManifestMailbox {
	if m == nil {
		return nil
	}

	return m.byPath[path]
}
