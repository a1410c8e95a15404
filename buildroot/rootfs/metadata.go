package rootfs

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
)

const (
	metadataSize = 8 << 10 // of a block before compression

	// In the length before a metadata block: it is not compressed.
	metadataRaw = 1 << 15
)

// ref is a place in a table: where its metadata block begins, and where in the
// unpacked block.
type ref struct {
	block  uint32
	offset uint16
}

// metadata collects a table.
type metadata struct {
	compress *compressor
	blocks   bytes.Buffer // finished ones
	current  []byte       // the one that is being filled
}

// next returns where the next octet will lie.
func (m *metadata) next() ref {
	return ref{block: uint32(m.blocks.Len()), offset: uint16(len(m.current))}
}

func (m *metadata) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), metadataSize-len(m.current))
		m.current = append(m.current, p[:n]...)
		p = p[n:]
		// An octet's place is never the end of a block.
		if len(m.current) == metadataSize {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}

	return nil
}

// flush ends the current block.
func (m *metadata) flush() error {
	if len(m.current) == 0 {
		return nil
	}
	packed, raw, err := m.compress.block(m.current)
	if err != nil {
		return err
	}
	length := uint16(len(packed))
	if raw {
		length |= metadataRaw
	}
	m.blocks.Write(binary.LittleEndian.AppendUint16(nil, length))
	m.blocks.Write(packed)
	m.current = m.current[:0]

	return nil
}

// compressor compresses one block at a time.
type compressor struct {
	out bytes.Buffer
	zip *zlib.Writer
}

func newCompressor() (*compressor, error) {
	c := &compressor{}
	var err error
	c.zip, err = zlib.NewWriterLevel(&c.out, zlib.BestCompression)

	return c, err
}

// block returns a block compressed, or as it is where that would not make it
// smaller: the kernel refuses such blocks. It is good until the next call.
func (c *compressor) block(data []byte) (packed []byte, raw bool, err error) {
	c.out.Reset()
	c.zip.Reset(&c.out)
	if _, err := c.zip.Write(data); err != nil {
		return nil, false, fmt.Errorf("compress: %w", err)
	}
	if err := c.zip.Close(); err != nil {
		return nil, false, fmt.Errorf("compress: %w", err)
	}
	if c.out.Len() >= len(data) {
		return data, true, nil
	}

	return c.out.Bytes(), false, nil
}
