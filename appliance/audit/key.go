package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pillarbox/storage/ledger"
)

const (
	keyFile    = "key"
	pubFile    = "key.pub"
	markFile   = "checkpoint"
	maxKeyFile = 4096 // octets
)

// ready loads the key and the newest checkpoint, once. Where there is no key
// one is made, with a first checkpoint, so that from the first record on there
// is one; that a book has records without a key is recorded.
func (l *Log) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return nil
	}
	mark, damage, err := l.readMark()
	if err != nil {
		return err
	}
	acts, err := l.acts.now()
	if err != nil {
		return err
	}
	access, err := l.access.now()
	if err != nil {
		return err
	}
	key, err := l.readKey()
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		key, err = l.makeKey()
	}
	if err != nil {
		return fmt.Errorf("the audit record's key: %w", err)
	}
	// What is wrong goes into the record before a newer checkpoint covers it.
	if mark == nil && damage == "" && acts.Seq+access.Seq > 0 {
		damage = "the newest checkpoint was gone"
	}
	if damage != "" {
		l.acts.note(Event{Kind: AuditDamaged, More: map[string]string{"file": markFile, "text": damage}})
	}
	for _, b := range []*book{l.acts, l.access} {
		head := acts
		if b == l.access {
			head = access
		}
		if mark != nil {
			text, err := b.behind(mark.head(b.name), head)
			if err != nil {
				return err
			}
			if text != "" {
				b.note(Event{Kind: AuditDamaged, More: map[string]string{"text": text}})
			}
		}
	}
	if made {
		e := Event{Kind: AuditKey, More: map[string]string{"key": base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))}}
		if acts.Seq+access.Seq > 0 {
			e.More["text"] = "the key before it was gone"
		} else if l.memory != nil {
			if before, err := l.memory.Recorded(); err == nil && before {
				e.More["text"] = "the key before it was gone, and all that was recorded"
			}
		}
		l.acts.note(e)
	}
	if (made || mark == nil) && acts.Seq+access.Seq > 0 {
		if acts, access, err = l.recordTold(); err != nil {
			return err
		}
	}
	if made || mark == nil {
		if mark, err = l.writeMark(signCheckpoint(key, time.Now(), acts, access)); err != nil {
			return err
		}
	}
	l.key, l.mark = key, mark

	return nil
}

// recordTold records what was found at the opening, before a newer checkpoint
// covers it, and returns where the books end.
func (l *Log) recordTold() (acts, access Head, err error) {
	for b, head := range map[*book]*Head{l.acts: &acts, l.access: &access} {
		if err := b.append(); err != nil {
			return acts, access, err
		}
		if *head, err = b.now(); err != nil {
			return acts, access, err
		}
	}

	return acts, access, nil
}

// behind says what is wrong if a book does not hold what a checkpoint names. A
// record that is not the last is looked for too, or the next checkpoint would
// cover a history that was written anew and went on.
func (b *book) behind(marked, head Head) (string, error) {
	hash := head.Hash
	switch {
	case head.Seq < marked.Seq:
		return fmt.Sprintf("the newest checkpoint names record %d, but the book ends with record %d", marked.Seq, head.Seq), nil
	case head.Seq > marked.Seq && marked.Seq > 0:
		found, there, err := b.hashOf(marked.Seq)
		if err != nil || !there { // retention may have removed it; Verify knows
			return "", err
		}
		hash = found
	}
	if marked.Seq > 0 && hash != marked.Hash {
		return fmt.Sprintf("record %d is not the one that the newest checkpoint names", marked.Seq), nil
	}

	return "", nil
}

// PublicKey returns the key that checkpoints are signed with, in PEM.
func (l *Log) PublicKey() ([]byte, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}

	return publicPEM(l.signer().Public().(ed25519.PublicKey))
}

func (l *Log) signer() ed25519.PrivateKey {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.key
}

func (l *Log) readKey() (ed25519.PrivateKey, error) {
	b, err := readSmall(filepath.Join(l.dir, keyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("the file holds no key")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the file holds a key of another kind")
	}

	return key, nil
}

// makeKey writes a new key. The private half is written last: without it there
// is no key.
func (l *Log) makeKey() (ed25519.PrivateKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	pub, err := publicPEM(public)
	if err != nil {
		return nil, err
	}
	if err := ledger.WriteFile(filepath.Join(l.dir, pubFile), pub, 0o644); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := ledger.WriteFile(filepath.Join(l.dir, keyFile), text, 0o600); err != nil {
		return nil, err
	}

	return private, nil
}

func publicPEM(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}

	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// readMark returns the newest checkpoint, nil if there is none. Damage says why
// one that is there is none.
func (l *Log) readMark() (c *Checkpoint, damage string, err error) {
	b, err := readSmall(filepath.Join(l.dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read checkpoint: %w", err)
	}
	if c, err = ParseCheckpoint(string(b)); err != nil {
		return nil, err.Error(), nil
	}

	return c, "", nil
}

func (l *Log) writeMark(c *Checkpoint) (*Checkpoint, error) {
	if err := ledger.WriteFile(filepath.Join(l.dir, markFile), []byte(c.String()+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write checkpoint: %w", err)
	}

	return c, nil
}

// Checkpoint makes a checkpoint of all that is recorded.
func (l *Log) Checkpoint(_ context.Context) (*Checkpoint, error) {
	if err := l.Flush(); err != nil {
		return nil, err
	}

	return l.checkpoint(false)
}

// checkpoint makes one, or, with onlyNew, only if something was recorded since
// the last.
func (l *Log) checkpoint(onlyNew bool) (*Checkpoint, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	l.remember()
	acts, access, err := l.recordTold()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mark.Acts == acts && l.mark.Access == access && onlyNew {
		return l.mark, nil
	}
	c, err := l.writeMark(signCheckpoint(l.key, time.Now(), acts, access))
	if err != nil {
		return nil, err
	}
	l.mark, l.unsent = c, c

	return c, nil
}

// remember has it remembered that there is a record. What fails is tried again
// with the next checkpoint.
func (l *Log) remember() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.memory == nil || l.known {
		return
	}
	known, err := l.memory.Recorded()
	if err == nil && !known {
		err = l.memory.SetRecorded(context.Background())
	}
	if err != nil {
		l.log.Warn("nobody would miss the audit record", "err", err)
		return
	}
	l.known = true
}

// checkpointIfDue makes a checkpoint after some records or some time.
func (l *Log) checkpointIfDue(_ context.Context) error {
	if !l.acts.used() && !l.access.used() {
		return nil
	}
	if err := l.ready(); err != nil {
		return err
	}
	acts, err := l.acts.now()
	if err != nil {
		return err
	}
	access, err := l.access.now()
	if err != nil {
		return err
	}
	l.mu.Lock()
	records := acts.Seq + access.Seq - l.mark.Acts.Seq - l.mark.Access.Seq
	age := time.Since(l.mark.Time)
	l.mu.Unlock()
	// A clock that was set back makes no checkpoint wait.
	if records == 0 || records < checkpointRecords && age >= 0 && age < checkpointAfter {
		return nil
	}
	_, err = l.checkpoint(true)

	return err
}

// send carries the newest checkpoint away. One that fails is tried again with
// the next tick; a newer one takes its place.
func (l *Log) send(ctx context.Context) {
	l.mu.Lock()
	c := l.unsent
	l.mu.Unlock()
	if c == nil || l.sender == nil {
		return
	}
	if err := l.sender.Send(ctx, c); err != nil {
		l.log.WarnContext(ctx, "a checkpoint of the audit record could not be sent; it is tried again", "err", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsent == c {
		l.unsent = nil
	}
}

// readSmall reads a file that has no more than some lines.
func readSmall(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is too long", filepath.Base(name))
	}

	return os.ReadFile(name)
}
