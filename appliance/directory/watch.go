package directory

import "pillarbox/storage"

// What tells the kind of a Change.
type What string

// The kinds of change.
const (
	AccountAdded    What = "account added"
	AccountRemoved  What = "account removed"
	PasswordChanged What = "password changed"
	DeviceRevoked   What = "device revoked"

	AccountSuspended What = "account suspended"
)

// Change is something that others must act upon: sessions of an account that
// was removed or has another password are to be ended, and those of a device
// that was revoked.
type Change struct {
	Account    storage.AccountID
	What       What
	Credential string // of the device, as Login told it
}

// Watch calls f for each change, after it is durable and before the method that
// made it returns; of a removed account the mail is still there. f must return
// soon and must not change the directory. stop ends the calls; one that is
// under way may still finish.
func (d *Directory) Watch(f func(Change)) (stop func()) {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	d.watchID++
	id := d.watchID
	d.watchers[id] = f
	return func() {
		d.watchMu.Lock()
		defer d.watchMu.Unlock()
		delete(d.watchers, id)
	}
}

func (d *Directory) tell(c Change) {
	d.watchMu.Lock()
	fs := make([]func(Change), 0, len(d.watchers))
	for _, f := range d.watchers {
		fs = append(fs, f)
	}
	d.watchMu.Unlock()
	for _, f := range fs {
		f(c)
	}
}
