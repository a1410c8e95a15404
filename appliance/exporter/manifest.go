package exporter

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pillarbox/appliance/mailfile"
)

const inbox = "INBOX"

// beginManifest makes the target's folder and says whose export it is.
func beginManifest(m *mailfile.Manifest, f *folder, kind mailfile.Kind, account string, boxes []Mailbox, path func(name string) string) error {
	dir := f.Name()
	old, err := mailfile.ReadManifest(dir)
	if err != nil {
		return refuse("%s: %v; choose another folder", dir, err)
	}
	if old != nil && old.Account != account {
		return refuse("%s holds the export of %s; choose another folder", dir, old.Account)
	}
	if old != nil && old.Kind != kind {
		return refuse("%s holds an export as %s; choose another folder", dir, old.Kind)
	}
	*m = mailfile.Manifest{Kind: kind, Account: account}
	if old != nil {
		m.Mailboxes = old.Mailboxes
	}
	taken := map[string]string{}
	for _, mb := range boxes {
		p := path(mb.Name)
		if other, ok := taken[p]; ok {
			return refuse("%q and %q would both become %s", other, mb.Name, filepath.Join(dir, p))
		}
		taken[p] = mb.Name
		entry := mailfile.ManifestMailbox{
			Name: mb.Name, Path: filepath.ToSlash(p), SpecialUse: mb.SpecialUse, UIDValidity: mb.UIDValidity, UIDNext: mb.UIDNext,
		}
		m.Mailboxes = slices.DeleteFunc(m.Mailboxes, func(o mailfile.ManifestMailbox) bool { return o.Name == mb.Name || o.Path == entry.Path })
		m.Mailboxes = append(m.Mailboxes, entry)
		if mb.Subscribed {
			m.Subscribe = append(m.Subscribe, mb.Name)
		}
	}
	if err := writeManifest(m, f); err != nil {
		return err
	}

	return sameOnDisk(m, f)
}

// sameOnDisk refuses mailboxes that a disk without regard to case, such as a
// USB stick's FAT, would put into one file, of which the last would be left.
func sameOnDisk(m *mailfile.Manifest, f *folder) error {
	exact, err := f.Stat(mailfile.ManifestName)
	if err != nil {
		return fmt.Errorf("look at the target's disk: %w", err)
	}
	upper, err := f.Stat(strings.ToUpper(mailfile.ManifestName))
	if err != nil || !os.SameFile(exact, upper) {
		return nil // it tells them apart
	}
	taken := map[string]string{}
	for _, e := range m.Mailboxes {
		p := strings.ToLower(e.Path)
		if other, ok := taken[p]; ok {
			return refuse("%q and %q differ in case alone, and the target's disk takes that for the same name: choose a folder on another disk, or rename one of them", other, e.Name)
		}
		taken[p] = e.Name
	}

	return nil
}

// countManifest takes over what was put into a mailbox.
func countManifest(m *mailfile.Manifest, j *Job, mb *Mailbox) {
	for i := range m.Mailboxes {
		if e := &m.Mailboxes[i]; e.Name == mb.Name {
			e.UIDNext = mb.UIDNext
			e.Messages, e.Bytes = int(j.box.Put+j.box.Known), j.box.Bytes
		}
	}
}

// finishManifest says that everything is there.
func finishManifest(m *mailfile.Manifest, f *folder, r *Report) error {
	sumUp(m, r)

	return writeManifest(m, f)
}

func sumUp(m *mailfile.Manifest, r *Report) {
	if len(r.Differences) == 0 {
		m.Complete = &r.Ended
	}
	for _, b := range r.Bad {
		m.Refused = append(m.Refused, mailfile.ManifestRefusal{Mailbox: b.Mailbox, UID: b.UID, Reason: b.Reason})
	}
}

func writeManifest(m *mailfile.Manifest, f *folder) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	if err := f.writeFile(mailfile.ManifestName, text); err != nil {
		return fmt.Errorf("write %s: %w", mailfile.ManifestName, err)
	}

	return nil
}
