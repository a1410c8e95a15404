package support_test

import (
	"strings"
	"testing"

	"pillarbox/appliance/support"
)

var office = support.Known{Names: []string{"Ada Lovelace", "Bo"}, Domains: []string{"office.example"}}

// TestSecretsAreTakenOut has what a careless line of a log may hold.
func TestSecretsAreTakenOut(t *testing.T) {
	for _, text := range []string{
		`level=INFO msg=x password=hunter2-SECRET login=ada`,
		`level=INFO msg=x auth.password="two words SECRET"`,
		`{"smtp_password": "a SECRET with \" in it", "port": 25}`,
		`msg="{\"client_secret\":\"SECRET\"}"`,
		`{'token': 'SECRET'}`,
		`the password is SECRET`,
		`the token of ada was SECRET`,
		`GET /x?access_token=SECRET&y=1`,
		`Authorization: Bearer SECRET`,
		`"Authorization": "Basic SECRETSECRET"`,
		`Cookie: a=SECRET; b=SECRET`,
		`https://ada:SECRET@mail.example/`,
		"-----BEGIN EC PRIVATE KEY-----\nSECRET\nSECRET\n-----END EC PRIVATE KEY-----",
		`"key": "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"`,
		"-----BEGIN PRIVATE KEY-----\nSECRET, and the file was cut off",
		`$argon2id$v=19$m=19456,t=2,p=1$SECRETSALT$SECRETHASH`,
		`SCRAM-SHA-256$4096:SECRET`,
		`a LOGIN ada SECRET`,
		`a LOGIN "ada" "SE CRET SECRET"`,
	} {
		for _, keep := range []bool{false, true} {
			got := support.NewRedactor(office, keep).Text(text)
			if strings.Contains(got, "SECRET") || !strings.Contains(got, support.Removed) {
				t.Errorf("%s\nbecomes %s", text, got)
			}
		}
	}
}

// TestWhatOpensSomethingIsNotRecognised are texts with nothing beside them that
// says what they are.
func TestWhatOpensSomethingIsNotRecognised(t *testing.T) {
	for _, secret := range []string{
		"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl", // a JSON web token
		"Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZg",                       // a session, in base64
		"JBSWY3DPEHPK3PXP",                                     // the secret of a second factor
		"0123456789abcdef0123456789abcdef",
		"abcd-efgh-2345-mnop", // a device's password
		"H8UR7-YQF38",         // a claim code
		"abcde-fgh23-kmnpq",   // a person's password
		"abcd3-kmnp7",         // a recovery code
		"abcd2fghijkl3nop",    // a key file's password
		"abcdefghijklmnopqrstuvwxyz",
	} {
		r := support.NewRedactor(office, true)
		if got := r.Text("it was " + secret + " today"); strings.Contains(got, secret) {
			t.Errorf("%s stays in %q", secret, got)
		}
	}
}

// TestPeopleHaveStandIns has them the same throughout a bundle.
func TestPeopleHaveStandIns(t *testing.T) {
	r := support.NewRedactor(office, false)
	text := `login=ada account=ada@office.example name="Ada Lovelace" remote=192.168.7.12 other=2001:db8::17 mac=02:42:ac:11:00:02 server=mail.office.example`
	got := r.Text(text)
	for _, told := range []string{"ada", "Ada", "Lovelace", "office.example", "192.168.7.12", "2001:db8::17", "02:42:ac"} {
		if strings.Contains(got, told) {
			t.Errorf("%q tells %s", got, told)
		}
	}
	login, _, _ := strings.Cut(strings.TrimPrefix(got, "login="), " ")
	if !strings.HasPrefix(login, "person-") || !strings.Contains(got, "account="+login+"@domain-") || !strings.Contains(got, "remote=lan-") || !strings.Contains(got, "other=net-") {
		t.Errorf("it is %q", got)
	}
	if again := r.Text(text); again != got {
		t.Errorf("then it is %q", again)
	}
	if other := support.NewRedactor(office, false).Text(text); strings.Contains(other, login) {
		t.Error("another bundle has the same stand-ins")
	}
	if kept := support.NewRedactor(office, true).Text(text); kept != text {
		t.Errorf("kept it is %q", kept)
	}
}

// TestWhatHelpsStays is what a bundle is for.
func TestWhatHelpsStays(t *testing.T) {
	for _, text := range []string{
		`time=2026-11-28T03:08:33.889Z level=INFO msg=listening listener=imaps addr=127.0.0.1:993`,
		`time=2026-11-28T03:08:33.889Z level=WARN msg="a check failed" err="open index.db: no such file or directory" service=health`,
		`{"imaps_legacy": true, "confirm_within": 90, "keep_secrets": false, "tokens": 3}`,
		`goroutine 17 [select]: pillarbox/appliance/imap.(*Server).Serve(0xc000123456, {0x1a2b3c0, 0xc000aa0000})`,
		`github.com/emersion/go-imap/v2 v2.0.0-beta.5`,
		`fingerprint 71:58:36:C6:4E:10:8A:20:24:72:BC:E5:AC:CF:5C:67:72:49:1D:A9:DB:0C:B5:62:1F:DF:14:FD:31:2A:3B:A5`,
		`version=0.3.1 uptime=12:34:56 sizes 10.5 MB`,
		`login=admin host=localhost ::1 0.0.0.0`,
	} {
		if got := support.NewRedactor(office, false).Text(text); got != text {
			t.Errorf("%s\nbecomes %s", text, got)
		}
	}
}

// FuzzRedactor puts a secret into any text, in the ways in which secrets get
// into logs.
func FuzzRedactor(f *testing.F) {
	for i := range 6 {
		f.Add("level=INFO msg=\"a thing\"", "S3cr3t-and-some-more", "err=nil", uint8(i))
	}
	f.Fuzz(func(t *testing.T, before, secret, after string, way uint8) {
		if len(secret) < 12 || strings.Trim(secret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" ||
			strings.Contains(before, secret) || strings.Contains(after, secret) {
			t.Skip()
		}
		if strings.Trim(strings.ToLower(secret), "0123456789.") == "" {
			t.Skip() // a number
		}
		ways := []string{"password=%", `{"api_key": "%"}`, "Authorization: Bearer %", "https://ada:%@office.example/", "x_token: %", `"set_cookie":"%"`}
		text := strings.Replace(ways[int(way)%len(ways)], "%", secret, 1)
		r := support.NewRedactor(office, false)
		got := r.Text(before + "\n" + text + "\n" + after)
		if strings.Contains(got, secret) {
			t.Errorf("%q stays in %q", secret, got)
		}
		if strings.Contains(got, "office.example") {
			t.Errorf("the office's name stays in %q", got)
		}
	})
}
