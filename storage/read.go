package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"

	"pillarbox/storage/message"
)

// Data is the stored, immutable part of a message.
type Data struct {
	Prefix   []byte         // header fields the server added in front of the body
	BodySize int64          // octets of the body, without Prefix
	Record   message.Record // the parse, ready to be sent
}

// Read calls f with the parsed data of each message in turn, all in one read
// transaction, until f returns false. Data and its slices are valid only
// within the call, and f must not block (append to a buffer, then write it to
// the socket after Read has returned). A message whose data is gone yields
// f(i, nil). Nothing is allocated per message.
func (a *Account) Read(ids []DataID, f func(i int, d *Data) bool) error {
	err := a.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(dataBucket).Cursor()
		var r dataRecord
		var key [8]byte
		var k, v []byte
		for i, id := range ids {
			binary.BigEndian.PutUint64(key[:], uint64(id))
			// Messages mostly lie one behind the other.
			if i > 0 && k != nil && ids[i-1]+1 == id {
				k, v = c.Next()
			}
			if i == 0 || !bytes.Equal(k, key[:]) {
				k, v = c.Seek(key[:])
			}
			var d *Data
			if bytes.Equal(k, key[:]) {
				if err := decodeData(id, v, &r); err != nil {
					return err
				}
				d = &r.Data
			}
			if !f(i, d) {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	return nil
}

func keyMailbox(k []byte) (MailboxID, bool) {
	if len(k) != 4 {
		return 0, false
	}
	return MailboxID(binary.BigEndian.Uint32(k)), true
}

func keyUID(k []byte) (imap.UID, bool) {
	if len(k) != 8 {
		return 0, false
	}
	return imap.UID(binary.BigEndian.Uint32(k[4:])), true
}
