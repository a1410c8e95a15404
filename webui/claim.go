package webui

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// codeLetters have none that look alike.
const codeLetters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// newClaimCode makes a code of 50 random bits for a person to type.
func newClaimCode() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // it never fails
	for i := range b {
		b[i] = codeLetters[int(b[i])%len(codeLetters)]
	}

	return string(b[:5]) + "-" + string(b[5:])
}

// plainCode leaves out what people type between the parts.
func plainCode(code string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(codeLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(code))
}

// claimForm is what is typed.
type claimForm struct {
	Code   string
	Secure bool   // the page came by HTTPS
	Better string // where it is by HTTPS, "" if nowhere
}

func (s *Server) claimRoutes() []Route {
	return []Route{
		{Pattern: "GET /claim", Handle: (*visit).showClaim},
		{Pattern: "POST /claim", Handle: (*visit).doClaim},
	}
}

const claimTitle = "Welcome to your Pillarbox"

func (v *visit) showClaim() error {
	if claimed, err := v.s.conf.Gate.Claimed(); err != nil || claimed {
		if err == nil {
			v.seeOther("/")
		}
		return err
	}

	return v.show("claim", claimTitle, v.claimForm())
}

func (v *visit) claimForm() claimForm {
	return claimForm{Code: v.value("code"), Secure: v.conn.secure, Better: v.s.secureURL(v.r, "/claim")}
}

func (v *visit) doClaim() error {
	bad := problems{}
	password := v.r.PostFormValue("password")
	if password != v.r.PostFormValue("again") {
		bad.add("again", "The two passwords differ. Type the same one twice.")
	}
	if len([]rune(password)) < 12 {
		bad.add("password", "Choose at least 12 characters: a sentence that nobody knows is easy to remember.")
	}
	if len(plainCode(v.value("code"))) != 10 {
		bad.add("code", "The code has ten letters and digits, such as ABCDE-23456.")
	}
	if len(bad) > 0 {
		return v.again("claim", claimTitle, v.claimForm(), bad)
	}
	// Whether the code is right must not show while the box has an administrator.
	if claimed, err := v.s.conf.Gate.Claimed(); err != nil || claimed {
		if err == nil {
			v.seeOther("/")
		}
		return err
	}
	code := plainCode(v.value("code"))
	err := v.s.conf.Gate.Weigh(v.ctx(), "claim", code, v.conn.remote(), func() bool {
		return subtle.ConstantTimeCompare([]byte(code), []byte(plainCode(v.s.claimCode))) == 1
	})
	var slow *Refusal
	switch {
	case errors.Is(err, ErrWrong):
		bad.add("code", "That is not the code. It stands on the box's console, or where the program was started; a new one is made at each start.")
		if err := v.noteSignIn(admin, "claim code", "it was not the code"); err != nil {
			return err
		}
		return v.again("claim", claimTitle, v.claimForm(), bad)
	case errors.As(err, &slow):
		bad.add("code", slow.Text)
		return v.again("claim", claimTitle, v.claimForm(), bad)
	case err != nil:
		return err
	}
	switch err := v.s.conf.Gate.Claim(v.ctx(), password); {
	case errors.Is(err, ErrClaimed):
		v.seeOther("/")
		return nil
	case errors.As(err, &slow):
		bad.add("password", slow.Text)
		return v.again("claim", claimTitle, v.claimForm(), bad)
	case err != nil:
		return err
	}
	v.who = &session{User: admin, Name: "Administrator", Role: Administrator}
	if err := v.record("box.claimed", admin, nil); err != nil {
		return err
	}
	if !v.conn.secure {
		http.Redirect(v.w, v.r, v.s.secureURL(v.r, "/signin?next=/first"), http.StatusSeeOther)
		return nil
	}

	return v.begin(*v.who, "password", v.s.now(), "/first")
}
