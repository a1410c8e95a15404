package ports

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	maxStrangers = 1024 // of the office's networks, and as many of others
	maxKnocks    = 4
	maxTried     = 3

	// Of others not more come in at once, and then one in so long: a scan must
	// neither push out who came before it nor wear out the disk.
	strangersAtOnce = 128
	strangerEvery   = 20 * time.Second
)

// stranger is a Stranger, as it is stored.
type stranger struct {
	Network netip.Prefix `json:"network"`
	Name    string       `json:"name,omitempty"`
	NameBy  string       `json:"name_by,omitempty"`
	Asked   int64        `json:"asked,omitempty"`
	First   int64        `json:"first"`
	Last    int64        `json:"last"`
	Knocks  []knock      `json:"knocks"`
}

// knock is a Knock. Sessions of Days are what nothing came of.
type knock struct {
	Port       string   `json:"port"`
	Silent     uint32   `json:"silent,omitempty"`
	Failed     uint32   `json:"failed,omitempty"`
	Refused    uint32   `json:"refused,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Offered    uint16   `json:"offered,omitempty"`
	Refusal    string   `json:"refusal,omitempty"`
	ServerName string   `json:"sni,omitempty"`
	Tried      []string `json:"tried,omitempty"`
	First      int64    `json:"first"`
	Last       int64    `json:"last"`
	Days       days     `json:"days"`
}

// crowd holds strangers of one sort.
type crowd struct {
	all     map[netip.Prefix]*stranger
	changed map[int]bool // shards, since they were written
	bounded bool         // how fast there may be more
	tokens  float64
	filled  time.Time
}

func newCrowd(bounded bool) *crowd {
	return &crowd{all: map[netip.Prefix]*stranger{}, changed: map[int]bool{}, bounded: bounded, tokens: strangersAtOnce}
}

// at returns what is known of a network at a port, nil if there are too many to
// keep it.
func (c *crowd) at(network netip.Prefix, port string, now time.Time) *knock {
	s := c.all[network]
	if s == nil {
		if !c.admits(now) {
			return nil
		}
		if len(c.all) >= maxStrangers {
			c.drop(c.oldest())
		}
		s = &stranger{Network: network, First: now.Unix()}
		c.all[network] = s
	}
	c.changed[shardOf(network)] = true
	s.Last = now.Unix()
	i := slices.IndexFunc(s.Knocks, func(k knock) bool { return k.Port == port })
	if i < 0 {
		i = min(len(s.Knocks), maxKnocks-1)
		if i == len(s.Knocks) {
			s.Knocks = append(s.Knocks, knock{})
		}
		s.Knocks[i] = knock{Port: port, First: now.Unix()}
	}
	s.Knocks[i].Last = now.Unix()
	return &s.Knocks[i]
}

func (c *crowd) admits(now time.Time) bool {
	if !c.bounded {
		return true
	}
	if passed := now.Sub(c.filled); passed > 0 {
		c.tokens = min(strangersAtOnce, c.tokens+passed.Seconds()/strangerEvery.Seconds())
	}
	c.filled = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

func (c *crowd) oldest() netip.Prefix {
	var found *stranger
	for _, s := range c.all {
		if found == nil || s.Last < found.Last {
			found = s
		}
	}
	return found.Network
}

func (c *crowd) drop(network netip.Prefix) {
	delete(c.all, network)
	c.changed[shardOf(network)] = true
}

// forget drops what was before a day.
func (c *crowd) forget(day int) {
	for network, s := range c.all {
		if s.Last < int64(day)*daySeconds {
			c.drop(network)
			continue
		}
		for i := range s.Knocks {
			s.Knocks[i].Days.since(day)
		}
	}
}

// shards is the number of values that strangers of one sort are stored in, so
// that one who comes again does not have all of them written.
const shards = 32

func shardOf(network netip.Prefix) int {
	sum := uint32(2166136261) // FNV-1a
	for _, b := range network.Addr().As16() {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return int(sum>>8) % shards
}

// marshal returns a shard, nil where it is empty.
func (c *crowd) marshal(shard int) ([]byte, error) {
	var of []*stranger
	for network, s := range c.all {
		if shardOf(network) == shard {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		return nil, nil
	}
	slices.SortFunc(of, func(a, b *stranger) int { return a.Network.Addr().Compare(b.Network.Addr()) })
	return json.Marshal(of)
}

// read takes in a shard that marshal wrote.
func (c *crowd) read(value []byte) error {
	var of []*stranger
	if len(value) > maxStored {
		return errRecord
	}
	if err := json.Unmarshal(value, &of); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	for _, s := range of {
		if s == nil || !s.valid() {
			return errRecord
		}
		if len(c.all) < maxStrangers {
			c.all[s.Network] = s
		}
	}
	return nil
}

func (s *stranger) valid() bool {
	if !s.Network.IsValid() || s.Network != s.Network.Masked() || !plain(s.Network.Addr()) || !isHost(s.Name) ||
		clean(s.NameBy, maxNameBy) != s.NameBy || len(s.Knocks) > maxKnocks || !within(s.First, s.Last, s.Asked) {
		return false
	}
	for _, k := range s.Knocks {
		if k.Port == "" || clean(k.Port, maxPortName) != k.Port || clean(k.Reason, maxReason) != k.Reason || clean(k.Refusal, maxReason) != k.Refusal ||
			!isHost(k.ServerName) || len(k.Tried) > maxTried || !within(k.First, k.Last) {
			return false
		}
		for _, name := range k.Tried {
			if clean(name, maxAccount) != name {
				return false
			}
		}
	}
	return true
}

func (s *stranger) shown(local bool, today int) Stranger {
	v := Stranger{
		Network: s.Network, Name: s.Name, NameBy: s.NameBy, Local: local,
		First: time.Unix(s.First, 0).UTC(), Last: time.Unix(s.Last, 0).UTC(), Uses: make([]Knock, 0, len(s.Knocks)),
	}
	for _, k := range s.Knocks {
		_, _, n := k.Days.sum(today - window + 1)
		v.Uses = append(v.Uses, Knock{
			Port: k.Port, Silent: int(k.Silent), Failed: int(k.Failed), Refused: int(k.Refused), Reason: k.Reason,
			Offered: versionName(k.Offered), Refusal: k.Refusal, ServerName: k.ServerName, Tried: slices.Clone(k.Tried), LastDays: n,
			First: time.Unix(k.First, 0).UTC(), Last: time.Unix(k.Last, 0).UTC(),
		})
	}
	return v
}

// list returns the strangers, those seen last first.
func (c *crowd) list() []*stranger {
	return slices.SortedFunc(maps.Values(c.all), func(a, b *stranger) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), a.Network.Addr().Compare(b.Network.Addr()))
	})
}
