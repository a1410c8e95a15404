package datafs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Where the superblock lies, and its fields.
const (
	superblockOffset = 1024
	superblockSize   = 1024

	atMaxMounts  = 0x36
	atMagic      = 0x38
	atState      = 0x3a
	atErrors     = 0x3c
	atIncompat   = 0x60
	atROCompat   = 0x64
	atErrorCount = 0x194
	atChecksum   = 0x3fc

	magic          = 0xef53
	stateErrors    = 0x2
	errorsReadOnly = 2
	needsRecovery  = 0x4
	metadataSums   = 0x400
)

// ErrNoFileSystem says that there is no ext4 on the partition.
var ErrNoFileSystem = errors.New("there is no file system on the data partition")

// State is what the superblock tells.
type State struct {
	Unclean bool   // it was not unmounted; the journal is to be replayed
	Damaged bool   // the kernel met an error and noted it
	Errors  uint32 // how many since the last full check
}

// ReadState reads the superblock.
func ReadState(d io.ReaderAt) (State, error) {
	sb := make([]byte, superblockSize)
	if _, err := d.ReadAt(sb, superblockOffset); err != nil {
		return State{}, fmt.Errorf("read the superblock: %w", err)
	}

	return parse(sb)
}

func parse(sb []byte) (State, error) {
	le := binary.LittleEndian
	if le.Uint16(sb[atMagic:]) != magic {
		return State{}, ErrNoFileSystem
	}
	if le.Uint32(sb[atROCompat:])&metadataSums != 0 && le.Uint32(sb[atChecksum:]) != checksum(sb) {
		return State{}, fmt.Errorf("%w: its superblock is damaged", ErrNoFileSystem)
	}

	return State{
		Unclean: le.Uint32(sb[atIncompat:])&needsRecovery != 0,
		Damaged: le.Uint16(sb[atState:])&stateErrors != 0,
		Errors:  le.Uint32(sb[atErrorCount:]),
	}, nil
}

// checksum is ext4's: CRC-32C, started with all ones and not inverted.
func checksum(sb []byte) uint32 {
	return ^crc32.Checksum(sb[:atChecksum], crc32.MakeTable(crc32.Castagnoli))
}
