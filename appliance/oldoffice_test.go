package appliance

import (
	"testing"

	"pillarbox/appliance/config"
	"pillarbox/webui"
)

// TestABoxThatWasSetUpKeepsWhatItKnowsOfTheOffice starts with what an earlier
// version has left in the system database.
func TestABoxThatWasSetUpKeepsWhatItKnowsOfTheOffice(t *testing.T) {
	dir := t.TempDir()
	a := opened(t, dir)
	store := webStore{sections{a.office.store.System()}}
	old := `{"name": "Lovelace & Sons", "domain": "lovelace.example", "zone": "Europe/Vienna", "step": 4}`
	if err := store.Save(t.Context(), false, webui.Record{Section: "web/office", Key: "office", Value: []byte(old)}); err != nil {
		t.Fatal(err)
	}
	closed(t, a)
	a = opened(t, dir)
	defer closed(t, a)
	store = webStore{sections{a.office.store.System()}}
	want := config.Office{Name: "Lovelace & Sons", Domain: "lovelace.example", TimeZone: "Europe/Vienna"}
	for range 2 { // the second time there is nothing to do
		if err := a.takeOldOffice(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := a.settings.Current(); v.Document.Office != want || v.Number != 2 || v.By != theBox {
			t.Errorf("version %d by %s knows %+v", v.Number, v.By, v.Document.Office)
		}
	}
	if got := a.zone().String(); got != "Europe/Vienna" {
		t.Errorf("times are told as in %s", got)
	}
	if err := store.All("web/office", func(_ string, value []byte) error {
		if string(value) != `{"step":4}` {
			t.Errorf("beside the settings is kept %s", value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
