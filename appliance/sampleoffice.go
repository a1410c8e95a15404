package appliance

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pillarbox/appliance/delivery"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/sample"
)

// sampleFile keeps the sample's passwords, so that a second start can tell them.
const sampleFile = "sample.json"

// Bounds of what is filed at once.
const (
	sampleBatch      = 64
	sampleBatchBytes = 8 << 20
)

// Sample is the sample office in a data folder.
type Sample struct {
	People []SamplePerson
	Whole  bool // all mail is there
}

// SamplePerson is somebody who can log in.
type SamplePerson struct {
	Address  string
	Name     string
	Password directory.Secret
}

// storedPerson is a SamplePerson with the password in the open, for the file
// that only its owner can read.
type storedPerson struct {
	Address  string `json:"address"`
	Name     string `json:"name"`
	Password string `json:"password"`
}

type storedSample struct {
	People []storedPerson `json:"people"`
	Whole  bool           `json:"whole"`
}

// Sample returns the sample office, which it makes if it is missing. It must
// be called before Run.
func (a *Appliance) Sample(ctx context.Context) (*Sample, error) {
	path := filepath.Join(a.conf.Dir, sampleFile)
	s, err := readSample(path)
	if err != nil {
		return nil, fmt.Errorf("read sample office: %w", err)
	}
	if s != nil && s.Whole {
		return s, nil
	}
	if s != nil {
		// It was interrupted half-way: begin again.
		for _, p := range s.People {
			if err := a.office.directory.Remove(ctx, p.Address); err != nil && !errors.Is(err, directory.ErrNoAccount) {
				return nil, fmt.Errorf("make sample office: %w", err)
			}
		}
	}
	s = &Sample{}
	for _, p := range sample.People() {
		s.People = append(s.People, SamplePerson{
			Address:  p.Address,
			Name:     p.Name,
			Password: directory.Secret(strings.ToLower(rand.Text()[:12])),
		})
	}
	// The file comes first: what is made after it can be removed by it.
	if err := writeSample(path, s); err != nil {
		return nil, fmt.Errorf("make sample office: %w", err)
	}
	if err := a.fillSample(ctx, s); err != nil {
		return nil, fmt.Errorf("make sample office: %w", err)
	}
	a.fitCA() // before its file is told
	s.Whole = true
	if err := writeSample(path, s); err != nil {
		return nil, fmt.Errorf("make sample office: %w", err)
	}

	return s, nil
}

func (a *Appliance) fillSample(ctx context.Context, s *Sample) error {
	now := time.Now()
	var addresses []string
	for i, p := range s.People {
		_, err := a.office.directory.Add(ctx, directory.NewAccount{Address: p.Address, Name: p.Name, Password: p.Password})
		if err != nil {
			return err
		}
		addresses = append(addresses, p.Address)
		if err := a.fileLetters(ctx, p.Address, i, now); err != nil {
			return err
		}
	}

	return a.office.directory.AddAlias(ctx, "info@office.example", addresses...)
}

// fileLetters files a person's letters, in batches of one mailbox.
func (a *Appliance) fileLetters(ctx context.Context, address string, i int, now time.Time) error {
	var (
		batch   []delivery.Filed
		mailbox string
		octets  int
	)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		results := a.office.delivery.File(ctx, address, mailbox, batch)
		errs := make([]error, 0, 2*len(batch))
		for j := range batch {
			errs = append(errs, results[j].Err, batch[j].Body.Close())
		}
		batch, octets = batch[:0], 0

		return errors.Join(errs...)
	}
	for l := range sample.Letters(i, now) {
		if l.Mailbox != mailbox || len(batch) >= sampleBatch || octets > sampleBatchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		staged, err := a.office.delivery.Stage(ctx, bytes.NewReader(l.Body))
		if err != nil {
			return errors.Join(err, flush())
		}
		mailbox, octets = l.Mailbox, octets+len(l.Body)
		batch = append(batch, delivery.Filed{Body: staged, Flags: l.Flags, Date: l.Date})
	}

	return flush()
}

// readSample returns nil if there is no sample office.
func readSample(path string) (*Sample, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stored storedSample
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &Sample{Whole: stored.Whole}
	for _, p := range stored.People {
		s.People = append(s.People, SamplePerson{Address: p.Address, Name: p.Name, Password: directory.Secret(p.Password)})
	}

	return s, nil
}

func writeSample(path string, s *Sample) error {
	stored := storedSample{Whole: s.Whole}
	for _, p := range s.People {
		stored.People = append(stored.People, storedPerson{Address: p.Address, Name: p.Name, Password: string(p.Password)})
	}
	b, err := json.MarshalIndent(stored, "", "  ")
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(b, '\n'), 0o600); err != nil {
		return err
	}

	return os.Rename(temporary, path)
}
