package webui

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"net/http"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// factorForm is what is needed to set a second factor up.
type factorForm struct {
	Secret  string // as it is typed into an app
	Picture template.URL
}

func (s *Server) factorRoutes() []Route {
	return []Route{
		{Pattern: "GET /factor", Role: Person, Fresh: true, Handle: (*visit).showFactor},
		{Pattern: "POST /factor", Role: Person, Fresh: true, Handle: (*visit).setFactor},
		{Pattern: "GET /factor/remove", Role: Person, Fresh: true, Handle: (*visit).askFactor},
		{Pattern: "POST /factor/remove", Role: Person, Fresh: true, Handle: (*visit).removeFactor},
		{Pattern: "GET /factor/recovery", Role: Person, Fresh: true, Handle: (*visit).askRecovery},
		{Pattern: "POST /factor/recovery", Role: Person, Fresh: true, Handle: (*visit).renewRecovery},
	}
}

const factorTitle = "Set up a second factor"

func (v *visit) showFactor() error {
	if v.s.users.get(v.who.User).hasFactor() {
		v.seeOther("/me")
		return nil
	}
	form, err := v.newFactor("")
	if err != nil {
		return err
	}

	return v.show("factor", factorTitle, form)
}

// newFactor makes a secret, or shows one again.
func (v *visit) newFactor(secret string) (f factorForm, err error) {
	opts := totp.GenerateOpts{
		Issuer: orElse(v.s.office.now().Name, "Pillarbox"), AccountName: v.who.account(),
		Period: factorPeriod, Digits: factorDigits, Algorithm: otp.AlgorithmSHA1,
	}
	if secret != "" {
		if opts.Secret, err = b32.DecodeString(secret); err != nil {
			return f, err
		}
	}
	key, err := totp.Generate(opts)
	if err != nil {
		return f, fmt.Errorf("make a second factor: %w", err)
	}
	img, err := key.Image(240, 240)
	if err != nil {
		return f, fmt.Errorf("draw the code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return f, fmt.Errorf("draw the code: %w", err)
	}
	picture := "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())

	return factorForm{Secret: key.Secret(), Picture: template.URL(picture)}, nil
}

// setFactor takes a secret into use once a code of it was right. The secret
// comes back from the form: it opens nothing before that, and only for who typed it.
func (v *visit) setFactor() error {
	secret := strings.ToUpper(strings.ReplaceAll(v.value("secret"), " ", ""))
	raw, err := b32.DecodeString(secret)
	if err != nil || len(raw) < 16 || len(raw) > 64 {
		v.seeOther("/factor")
		return nil
	}
	step, ok := stepOf(&user{Secret: secret}, strings.ReplaceAll(v.value("code"), " ", ""), v.s.now())
	if !ok {
		form, err := v.newFactor(secret)
		if err != nil {
			return err
		}
		return v.again("factor", factorTitle, form, problems{"code": "That is not the code that the app shows now. Is the clock of your telephone right?"})
	}
	codes, hashes := newRecovery()
	set, err := v.s.users.change(v.ctx(), v.who.User, func(u *user) bool {
		if u.hasFactor() {
			return false
		}
		u.Address, u.Secret, u.Since, u.LastStep, u.Recovery = v.who.Address, secret, v.s.now(), step, hashes
		return true
	})
	if err != nil {
		return err
	}
	if !set {
		v.seeOther("/me")
		return nil
	}
	if err := v.record("factor.set", v.who.account(), nil); err != nil {
		return err
	}

	return v.showRecovery(codes)
}

func (v *visit) showRecovery(codes []string) error {
	return v.show("recovery", "Your recovery codes", codes)
}

func (v *visit) askFactor() error {
	return v.show("confirm", "Turn the second factor off?", confirmation{
		Title: "Turn the second factor off?", Action: "/factor/remove", Back: "/me", Button: "Turn it off",
		Text: "From then on the password alone signs you in to this page.",
	})
}

// confirmation asks whether something is really meant.
type confirmation struct {
	Title, Text, Action, Back, Button string
	Fields                            map[string]string // hidden ones of the form
}

func (v *visit) removeFactor() error {
	_, err := v.s.users.change(v.ctx(), v.who.User, func(u *user) bool {
		u.Secret, u.Recovery, u.LastStep = "", nil, 0
		return true
	})
	if err != nil {
		return err
	}
	if err := v.record("factor.removed", v.who.account(), nil); err != nil {
		return err
	}
	v.flash("ok", "The second factor is off.")
	v.seeOther("/me")

	return nil
}

func (v *visit) askRecovery() error {
	return v.show("confirm", "Make new recovery codes?", confirmation{
		Title: "Make new recovery codes?", Action: "/factor/recovery", Back: "/me", Button: "Make new codes",
		Text: "The old ones end at once.",
	})
}

func (v *visit) renewRecovery() error {
	codes, hashes := newRecovery()
	set, err := v.s.users.change(v.ctx(), v.who.User, func(u *user) bool {
		u.Recovery = hashes
		return u.hasFactor()
	})
	if err != nil {
		return err
	}
	if !set {
		return errNotFound
	}
	if err := v.record("factor.set", v.who.account(), map[string]string{"text": "new recovery codes"}); err != nil {
		return err
	}

	return v.showRecovery(codes)
}

// fail422 tells our own script what a person can do, where that is known.
func (v *visit) fail422(err error) bool {
	var r *Refusal
	if errors.As(err, &r) {
		apiFail(v.w, http.StatusUnprocessableEntity, "refused", r.Text)
		return true
	}

	return false
}
