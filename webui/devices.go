package webui

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

func (v *visit) addDevice() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	d.NewName = v.value("name")
	secret, bad, err := v.makeDevice(d.Person.Address, d.NewName)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return v.again("person", d.Person.Address, d, bad)
	}
	secret.Back = "/people/" + url.PathEscape(d.Person.Address)

	return v.show("secret", secret.Title, secret)
}

// makeDevice makes a password for a device.
func (v *visit) makeDevice(address, name string) (shownSecret, problems, error) {
	bad := problems{}
	if name == "" {
		bad.add("device", "Give the device a name, such as Telephone.")
		return shownSecret{}, bad, nil
	}
	var made struct {
		Password string `json:"password"`
	}
	err := v.call(http.MethodPost, "/v1/accounts/"+url.PathEscape(address)+"/devices", map[string]any{"name": name}, &made)
	if err != nil {
		return shownSecret{}, bad, v.explain(err, bad, map[string]string{"device": "device", "device-taken": "device", "too-many": "device"})
	}

	return shownSecret{
		Title: "Password for " + name, Secret: made.Password, Login: address,
		Text: "Type it into the mail program on this device, in place of the person's own password. It is shown this once.",
	}, bad, nil
}

func (v *visit) revokeDevice() error {
	p, err := v.findPerson()
	if err == nil {
		err = v.above(&p)
	}
	if err != nil {
		return err
	}
	if err := v.dropDevice(p.Address); err != nil {
		return err
	}
	v.backTo(&p)

	return nil
}

func (v *visit) dropDevice(address string) error {
	var gone device
	path := "/v1/accounts/" + url.PathEscape(address) + "/devices?" + url.Values{"device": {v.value("device")}}.Encode()
	if err := v.call(http.MethodDelete, path, nil, &gone); err != nil {
		return err
	}
	v.flash("ok", gone.Name+" can no longer sign in.")

	return nil
}

// certificatePattern is of the request that makes a certificate for a device.
const certificatePattern = "POST /v1/accounts/{address}/devices/certificate"

// shownCertificate is a certificate that is shown once.
type shownCertificate struct {
	Name, Address, Password, Back string
	PKCS12, Profile               template.URL
}

func (v *visit) certifyDevice() error {
	d, err := v.personData()
	if err == nil {
		err = v.above(&d.Person)
	}
	if err != nil {
		return err
	}
	d.NewName = v.value("name")
	made, bad, err := v.makeCertificate(d.Person.Address, d.NewName)
	switch {
	case err != nil:
		return err
	case len(bad) > 0:
		return v.again("person", d.Person.Address, d, bad)
	}
	made.Back = "/people/" + url.PathEscape(d.Person.Address)

	return v.show("certificate", "Certificate for "+made.Name, made)
}

// makeCertificate makes a certificate for a device, with its key.
func (v *visit) makeCertificate(address, name string) (shownCertificate, problems, error) {
	bad := problems{}
	if name == "" {
		bad.add("device", "Give the device a name, such as Telephone.")
		return shownCertificate{}, bad, nil
	}
	var made struct {
		PKCS12   []byte `json:"pkcs12"`
		Profile  []byte `json:"profile"`
		Password string `json:"password"`
	}
	err := v.call(http.MethodPost, personPath(address, "devices/certificate"), map[string]any{
		"name": name, "rsa": v.value("older") == "yes", "legacy": v.value("older") == "yes",
	}, &made)
	if err != nil {
		return shownCertificate{}, bad, v.explain(err, bad, map[string]string{"device": "device", "device-taken": "device", "too-many": "device"})
	}
	file := func(kind string, text []byte) template.URL {
		return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(text))
	}

	return shownCertificate{
		Name: name, Address: address, Password: made.Password,
		PKCS12: file("application/x-pkcs12", made.PKCS12), Profile: file("application/x-apple-aspen-config", made.Profile),
	}, bad, nil
}
