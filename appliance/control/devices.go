package control

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/profile"
)

// NewDevice asks for a password for a device.
type NewDevice struct {
	Name      string `json:"name"`
	NoSending bool   `json:"no_sending,omitempty"`
}

// AddedDevice is a device with its password, which is told this once.
type AddedDevice struct {
	directory.Device

	Password string `json:"password"`
}

// NewCertificate asks for a certificate for a device.
type NewCertificate struct {
	NewDevice

	RSA    bool `json:"rsa,omitempty"`    // for a device that knows no other keys
	Legacy bool `json:"legacy,omitempty"` // for one that reads only older files
}

// AddedCertificate is a device with its certificate and key, which are told this
// once.
type AddedCertificate struct {
	directory.Device

	PKCS12   []byte `json:"pkcs12"`
	Profile  []byte `json:"profile"`  // for Apple's devices, with the mail account
	Password string `json:"password"` // of both files
}

// deviceRoutes are the requests about devices.
func (h *Handler) deviceRoutes() map[string]func(http.ResponseWriter, *http.Request) error {
	return map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/accounts/{address}/devices":    h.listDevices,
		"POST /v1/accounts/{address}/devices":   h.ofAccount(h.addDevice),
		"DELETE /v1/accounts/{address}/devices": h.ofAccount(h.revokeDevice),

		"POST /v1/accounts/{address}/devices/certificate": h.ofAccount(h.certifyDevice),
	}
}

func (h *Handler) listDevices(w http.ResponseWriter, r *http.Request) error {
	devices, err := h.directory.Devices(r.Context(), r.PathValue("address"))
	if err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, devices)
}

func (h *Handler) addDevice(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	var n NewDevice
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	d, password, err := h.directory.AddDevice(r.Context(), a.Address, directory.NewDevice{Name: n.Name, NoSending: n.NoSending})
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "device added", "account", a.Address, "device", d.Name)
	if err := h.record(r.Context(), audit.Event{
		Kind: audit.DeviceAdded, Account: a.Address, After: inJSON(d), More: map[string]string{"device": d.Name},
	}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, AddedDevice{Device: d, Password: string(password)})
}

func (h *Handler) certifyDevice(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	var n NewCertificate
	if err := readJSON(w, r, &n); err != nil {
		return err
	}
	m, err := h.certs(r.Context())
	if err != nil {
		return err
	}
	wanted := certs.NewIdentity{Address: a.Address, Device: n.Name, RSA: n.RSA, Legacy: n.Legacy}
	if h.setup != nil {
		account, err := h.setup.Account(r.Context(), a.Address)
		if err != nil {
			return err
		}
		wanted.Payloads = []profile.Payload{account}
	}
	id, err := m.NewIdentity(r.Context(), wanted)
	if err != nil {
		return err
	}
	f := directory.Fingerprint(sha256.Sum256(id.Certificate.Raw))
	d, err := h.directory.AddCertificate(r.Context(), a.Address, directory.NewDevice{Name: n.Name, NoSending: n.NoSending}, f, id.Certificate.NotAfter)
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "device certified", "account", a.Address, "device", d.Name, "fingerprint", f.String())
	if err := h.record(r.Context(), audit.Event{
		Kind: audit.DeviceAdded, Account: a.Address, After: inJSON(d), More: map[string]string{"device": d.Name, "fingerprint": f.String()},
	}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusCreated, AddedCertificate{Device: d, PKCS12: id.PKCS12, Profile: id.Profile, Password: id.Password})
}

func (h *Handler) revokeDevice(w http.ResponseWriter, r *http.Request, a directory.Account) error {
	d, err := h.directory.RevokeDevice(r.Context(), a.Address, r.URL.Query().Get("device"))
	if err != nil {
		return err
	}
	h.log.InfoContext(r.Context(), "device revoked", "account", a.Address, "device", d.Name)
	if err := h.record(r.Context(), audit.Event{
		Kind: audit.DeviceRevoked, Account: a.Address, Before: inJSON(d), More: map[string]string{"device": d.Name},
	}); err != nil {
		return err
	}

	return writeJSON(w, http.StatusOK, d)
}

// Devices lists the devices of an account that have a password of their own.
func (c *Client) Devices(ctx context.Context, address string) ([]directory.Device, error) {
	var list []directory.Device

	return list, c.call(ctx, http.MethodGet, devicesPath(address), nil, &list)
}

// AddDevice makes a password for a device.
func (c *Client) AddDevice(ctx context.Context, address string, n NewDevice) (AddedDevice, error) {
	var added AddedDevice

	return added, c.call(ctx, http.MethodPost, devicesPath(address), n, &added)
}

// CertifyDevice makes a certificate for a device.
func (c *Client) CertifyDevice(ctx context.Context, address string, n NewCertificate) (AddedCertificate, error) {
	var added AddedCertificate

	return added, c.call(ctx, http.MethodPost, devicesPath(address)+"/certificate", n, &added)
}

// RevokeDevice takes a device's password away; device is its name or ID.
func (c *Client) RevokeDevice(ctx context.Context, address, device string) (directory.Device, error) {
	var gone directory.Device

	return gone, c.call(ctx, http.MethodDelete, devicesPath(address)+"?"+url.Values{"device": {device}}.Encode(), nil, &gone)
}

func devicesPath(address string) string {
	return "/v1/accounts/" + url.PathEscape(address) + "/devices"
}
