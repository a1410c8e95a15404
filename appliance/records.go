package appliance

import (
	"context"

	"pillarbox/appliance/access"
	"pillarbox/appliance/ports"
	"pillarbox/storage"
	"pillarbox/webui"
)

// record is a value of the system database, as each room calls it; nil means
// that there is none any more.
type record struct {
	Section, Key string
	Value        []byte
}

// saveRecords writes all of them or none. Nobody misses what is passing so much
// that the database were to be copied for it.
func saveRecords[R ~struct {
	Section, Key string
	Value        []byte
}](ctx context.Context, system *storage.System, passing bool, all []R) error {
	return system.Update(ctx, func(tx *storage.SystemTx) error {
		put := tx.Put
		if passing {
			put = tx.PutPassing
		}
		for _, one := range all {
			r := record(one)
			var err error
			if r.Value == nil {
				err = tx.Delete(r.Section, r.Key)
			} else {
				err = put(r.Section, r.Key, r.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// sections shows the sections of the system database.
type sections struct{ system *storage.System }

// Load implements the Store of several rooms.
func (s sections) Load(section string, f func(key string, value []byte) error) error {
	return s.system.View(func(tx *storage.SystemTx) error { return tx.All(section, f) })
}

// banStore shows the system database to the bans.
type banStore struct{ sections }

// Save implements access.BanStore.
func (s banStore) Save(ctx context.Context, changes []access.Change) error {
	return saveRecords(ctx, s.system, false, changes)
}

// portStore shows it to the inventory.
type portStore struct{ sections }

// Save implements ports.Store.
func (s portStore) Save(ctx context.Context, changes []ports.Change) error {
	return saveRecords(ctx, s.system, true, changes)
}

// webStore shows it to the pages.
type webStore struct{ sections }

// All implements webui.Store.
func (s webStore) All(section string, f func(key string, value []byte) error) error {
	return s.Load(section, f)
}

// Save implements webui.Store.
func (s webStore) Save(ctx context.Context, passing bool, records ...webui.Record) error {
	return saveRecords(ctx, s.system, passing, records)
}

// sectionStore shows one section.
type sectionStore struct {
	system  *storage.System
	section string
}

// Load implements the Store of several rooms.
func (s sectionStore) Load(f func(key string, value []byte) error) error {
	return sections{s.system}.Load(s.section, f)
}

// Save implements it, too.
func (s sectionStore) Save(ctx context.Context, changes map[string][]byte) error {
	var all []record
	for key, value := range changes {
		all = append(all, record{s.section, key, value})
	}

	return saveRecords(ctx, s.system, false, all)
}
