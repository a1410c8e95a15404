package imap

import (
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

func TestEffect(t *testing.T) {
	work := storage.Keywords{}.With(3)
	home := storage.Keywords{}.With(100)
	both := work.With(100)
	for _, tc := range []struct {
		name          string
		effect        effect
		before, after storage.Message
		want          bool
	}{
		{
			"an addition alone",
			effect{imap.StoreFlagsAdd, storage.Seen, home},
			storage.Message{Flags: storage.Flagged, Keywords: work},
			storage.Message{Flags: storage.Flagged | storage.Seen, Keywords: both}, true,
		},
		{
			"an addition, and another session's flag",
			effect{imap.StoreFlagsAdd, storage.Seen, storage.Keywords{}},
			storage.Message{},
			storage.Message{Flags: storage.Flagged | storage.Seen}, false,
		},
		{
			"an addition, and another session's keyword",
			effect{imap.StoreFlagsAdd, storage.Seen, storage.Keywords{}},
			storage.Message{},
			storage.Message{Flags: storage.Seen, Keywords: work}, false,
		},
		{
			"a removal alone",
			effect{imap.StoreFlagsDel, storage.Seen, home},
			storage.Message{Flags: storage.Draft | storage.Seen, Keywords: both},
			storage.Message{Flags: storage.Draft, Keywords: work}, true,
		},
		{
			"a removal that another session took back",
			effect{imap.StoreFlagsDel, storage.Seen, storage.Keywords{}},
			storage.Message{Flags: storage.Seen},
			storage.Message{Flags: storage.Seen}, false,
		},
		{
			"a replacement, whatever was there",
			effect{imap.StoreFlagsSet, storage.Seen, work},
			storage.Message{Flags: storage.Draft, Keywords: home},
			storage.Message{Flags: storage.Seen, Keywords: work}, true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags, keywords := tc.effect.on(tc.before.Flags, tc.before.Keywords)
			if got := flags == tc.after.Flags && keywords == tc.after.Keywords; got != tc.want {
				t.Errorf("%v %v comes out of it; as wanted: %v, but should be %v", flags, keywords, got, tc.want)
			}
		})
	}
}
