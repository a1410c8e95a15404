package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func call(t *testing.T, typed string, args ...string) (out, said string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err = run(t.Context(), args, &env{stdin: strings.NewReader(typed), stdout: &stdout, stderr: &stderr})

	return stdout.String(), stderr.String(), err
}

func TestListNamesTheImages(t *testing.T) {
	out, _, err := call(t, "", "list")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"qemu-amd64", "pc-amd64", "qemu-arm64", "rpi-arm64"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %s:\n%s", want, out)
		}
	}
}

func TestWrongSettingsAreNamedBeforeAnythingIsBuilt(t *testing.T) {
	out := filepath.Join(t.TempDir(), "image")
	cases := map[string]struct {
		args []string
		want string
	}{
		"unknown image": {[]string{"-i", "toaster"}, `there is no image "toaster"`},
		"bad address":   {[]string{"-i", "pc-amd64", "--address", "192.0.2.1"}, "network.address"},
		"bad gateway":   {[]string{"-i", "pc-amd64", "--address", "192.0.2.1/24", "--gateway", "198.51.100.1"}, "network.gateway"},
		"bad host":      {[]string{"-i", "pc-amd64", "--host", "a b"}, "host"},
		"bad hash":      {[]string{"-i", "pc-amd64", "--admin-password-hash", "secret"}, "admin-password-hash"},
		"bad date":      {[]string{"-i", "pc-amd64", "--date", "yesterday"}, "--date"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := call(t, "", append([]string{"build", "-o", out}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("build = %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("an image was written")
			}
		})
	}
}

func TestFlashRefusesWhatIsNoDisk(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{image, "/dev/null", "/does/not/exist"} {
		if _, _, err := call(t, "", "flash", "--force", "--yes", "-i", image, device); err == nil {
			t.Errorf("flash wrote to %s", device)
		}
	}
}

func TestNewDiskHoldsTheImageAndAnOldOneIsKept(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
	want := append(make([]byte, 3<<20), "the end"...)
	copy(want[1<<20:], "the middle")
	if err := os.WriteFile(from, want, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := makeDisk(from, to, 8<<20); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 8<<20 || !bytes.HasPrefix(got, want) {
		t.Errorf("the disk has %d octets and not the image's", len(got))
	}
	if err := os.WriteFile(to, []byte("mail"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := makeDisk(from, to, 8<<20); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "mail" {
		t.Errorf("the disk that was there holds %q, %v", got, err)
	}
}

func TestHelpIsNoError(t *testing.T) {
	if _, _, err := call(t, "", "--help"); err != nil {
		t.Error(err)
	}
}
