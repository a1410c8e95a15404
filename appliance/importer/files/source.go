package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/mailfile"
)

const (
	readers  = 4   // ways to read side by side
	listings = 4   // that are kept
	maxName  = 512 // octets of an origin
)

// Source is the mail of one person in files.
type Source struct {
	tree   *mailfile.Tree
	origin string

	mu   sync.Mutex
	kept []*listing // the newest last
}

// Open finds the mail at path. Owner chooses one person in a spool of Cyrus that
// holds the mail of several, "" the only one.
func Open(path, owner string) (*Source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open mail: %w", err)
	}
	tree, err := mailfile.OpenTree(path, owner)
	if err != nil {
		return nil, err
	}
	origin := string(tree.Layout) + " " + path
	if owner != "" {
		origin += " " + owner
	}
	if len(origin) > maxName {
		sum := sha256.Sum256([]byte(origin))
		origin = string(tree.Layout) + " " + hex.EncodeToString(sum[:])
	}

	return &Source{tree: tree, origin: origin}, nil
}

// Origin implements importer.Source.
func (s *Source) Origin() string { return s.origin }

// Parallel implements importer.Source.
func (s *Source) Parallel() int { return readers }

// Notes tell a person what was not read.
func (s *Source) Notes() []string { return s.tree.Notes }

// Mailboxes implements importer.Source.
func (s *Source) Mailboxes(ctx context.Context) ([]importer.Mailbox, error) {
	subscribed := map[string]bool{}
	for _, name := range s.tree.Subscribed {
		subscribed[name] = true
	}
	var all []importer.Mailbox
	for _, f := range s.tree.Folders {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		mb := importer.Mailbox{
			ID: s.id(f), Path: f.Levels, Messages: -1, Bytes: -1, Mark: mark(f),
			// Where nobody tells what is shown, all is.
			Subscribed: s.tree.Subscribed == nil || subscribed[f.Name()],
		}
		src, err := s.tree.Open(f)
		if err != nil {
			return nil, err
		}
		mb.UIDValidity, mb.UIDNext, mb.Messages, mb.Bytes = src.UIDValidity, src.UIDNext, int64(src.Len()), src.Bytes
		if err := src.Close(); err != nil {
			return nil, fmt.Errorf("close mail: %w", err)
		}
		all = append(all, mb)
	}

	return all, nil
}

// id is the path from the tree's root, or what stands for one that is too long.
func (s *Source) id(f mailfile.Folder) string {
	rel, err := filepath.Rel(s.tree.Path, f.Path)
	if err != nil {
		rel = f.Path
	}
	if len(rel) > 1000 {
		sum := sha256.Sum256([]byte(rel))
		rel = hex.EncodeToString(sum[:])
	}

	return rel
}

func (s *Source) folder(id string) (mailfile.Folder, error) {
	for _, f := range s.tree.Folders {
		if s.id(f) == id {
			return f, nil
		}
	}

	return mailfile.Folder{}, fmt.Errorf("%w: it has no mailbox %q", importer.ErrRefused, id)
}

// settled is the age from which a file's time tells that nothing came after it:
// file systems count in steps.
const settled = 2 * time.Second

// mark stands for the state of a folder's files. A flag that changes renames a
// file, and so changes the time of its folder.
func mark(f mailfile.Folder) string {
	names := []string{""}
	switch f.Kind {
	case mailfile.Maildir:
		names = []string{"cur", "new", "dovecot-keywords", "dovecot-uidlist", "pillarbox-keywords"}
	case mailfile.Cyrus:
		names = []string{"", "cyrus.index", "cyrus.header"}
	}
	var b strings.Builder
	for _, name := range names {
		fi, err := os.Stat(filepath.Join(f.Path, name))
		if err != nil {
			b.WriteString("- ")
			continue
		}
		if time.Since(fi.ModTime()) < settled {
			return ""
		}
		b.WriteString(strconv.FormatInt(fi.ModTime().UnixNano(), 36) + "." + strconv.FormatInt(fi.Size(), 36) + " ")
	}

	return b.String()
}

// Open implements importer.Source.
func (s *Source) Open(context.Context) (importer.Reader, error) { return &reader{s}, nil }

// Wait implements importer.Source.
func (s *Source) Wait(ctx context.Context, most time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(most):
		return nil
	}
}

// Facts implements importer.Teller.
func (s *Source) Facts(context.Context) (importer.Facts, error) {
	return importer.Facts{Server: string(s.tree.Layout) + " " + s.tree.Path}, nil
}

// Close implements importer.Source.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.kept {
		l.drop()
	}
	s.kept = nil

	return nil
}
