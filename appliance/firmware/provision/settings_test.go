package provision_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/firmware/provision"
)

const hash = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

func full() provision.Settings {
	return provision.Settings{
		Host: "mail", TimeZone: "Europe/Berlin", Time: []string{"192.0.2.1", "time.example"}, Admin: hash,
		Network: provision.Network{Address: "192.0.2.10/24", Gateway: "192.0.2.1", DNS: []string{"192.0.2.1", "192.0.2.2"}},
	}
}

func TestWrittenSettingsAreReadAgain(t *testing.T) {
	for name, want := range map[string]provision.Settings{
		"all":     full(),
		"none":    {},
		"network": {Network: provision.Network{Address: "10.0.0.2/8"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := want.Text()
			if err != nil {
				t.Fatal(err)
			}
			got, problems := provision.Parse(text)
			if len(problems) > 0 {
				t.Errorf("problems %q in\n%s", problems, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExamplesAreGood takes away the mark of each comment that holds a setting.
func TestExamplesAreGood(t *testing.T) {
	text, err := provision.Settings{}.Text()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "\n") {
			line = strings.ReplaceAll(rest, "$argon2id$v=19$...", hash)
		}
		lines = append(lines, line)
	}
	got, problems := provision.Parse([]byte(strings.Join(lines, "")))
	if len(problems) > 0 {
		t.Errorf("problems %q", problems)
	}
	if got.Host == "" || got.Network.Address == "" || got.Admin == "" || len(got.Time) == 0 {
		t.Errorf("the examples set only %+v", got)
	}
}

func TestWhatIsWrongIsNamedAndTheRestHolds(t *testing.T) {
	cases := map[string]struct {
		text     string
		want     provision.Settings
		problems []string // a part of each
	}{
		"not TOML":               {text: "host = \nmail", problems: []string{"nothing of it could be read"}},
		"unknown setting":        {text: "hots = \"mail\"\ntimezone = \"UTC\"", want: provision.Settings{TimeZone: "UTC"}, problems: []string{"hots is not a setting"}},
		"bad host":               {text: "host = \"a b\"\ntimezone = \"UTC\"", want: provision.Settings{TimeZone: "UTC"}, problems: []string{"host: "}},
		"host of another kind":   {text: "host = 5", problems: []string{"nothing of it could be read"}},
		"time zone that climbs":  {text: "timezone = \"../../etc/passwd\"", problems: []string{"timezone: "}},
		"password, not its hash": {text: "admin-password-hash = \"secret\"", problems: []string{"admin-password-hash: it is not a hash"}},
		"address without length": {text: "[network]\naddress = \"192.0.2.1\"\ngateway = \"192.0.2.2\"", problems: []string{"network.address: "}},
		"gateway far away": {
			text:     "[network]\naddress = \"192.0.2.1/24\"\ngateway = \"198.51.100.1\"",
			want:     provision.Settings{Network: provision.Network{Address: "192.0.2.1/24"}},
			problems: []string{"network.gateway: "},
		},
		"one bad name server": {
			text:     "[network]\ndns = [\"192.0.2.1\", \"x\"]",
			want:     provision.Settings{Network: provision.Network{DNS: []string{"192.0.2.1"}}},
			problems: []string{"network.dns: "},
		},
		"option for another program": {text: "ntp = [\"-x\"]", problems: []string{"ntp: "}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, problems := provision.Parse([]byte(c.text))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if len(problems) != len(c.problems) {
				t.Fatalf("problems %q, want %q", problems, c.problems)
			}
			for i, want := range c.problems {
				if !strings.Contains(problems[i], want) {
					t.Errorf("problem %q, want %q", problems[i], want)
				}
				if strings.Contains(problems[i], "secret") {
					t.Errorf("problem %q shows the password", problems[i])
				}
			}
		})
	}
}

func TestHashIsNotShown(t *testing.T) {
	if text := fmt.Sprint(full()); strings.Contains(text, "argon2id") {
		t.Errorf("printed settings show the hash: %s", text)
	}
}

func FuzzParse(f *testing.F) {
	text, err := full().Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("[network]\naddress=\"::1/64\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _ := provision.Parse(text)
		// What is left is good.
		if problems := s.Validate(); len(problems) > 0 {
			t.Errorf("Parse left %q", problems)
		}
	})
}
