package buildroot_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"pillarbox/buildroot"
)

const declaration = `
arch    = "amd64"
kernel  = "kernel.amd64"
boot    = "uefi"
console = ["tty1"]
`

func read(text string) ([]*buildroot.Declaration, error) {
	return buildroot.ReadDeclarations(fstest.MapFS{"box/image.toml": {Data: []byte(text)}})
}

func TestDeclarationIsRead(t *testing.T) {
	all, err := read(declaration + "host = \"mail\"\nroot-size = 64\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d declarations were read", len(all))
	}
	d := all[0]
	if d.Name != "box" || d.Host != "mail" || d.RootSize != 64 || d.BootSize == 0 {
		t.Errorf("read %+v", d)
	}
}

func TestAllThatIsWrongWithADeclarationIsNamed(t *testing.T) {
	_, err := read("arch = \"mips\"\nkernel = \"kernel.x\"\nboot = \"floppy\"\nhost = \"-\"\nboot-size = 1\nroot-size = 1\n")
	if err == nil {
		t.Fatal("the declaration was accepted")
	}
	for _, want := range []string{"box/image.toml", "arch: ", "kernel: ", "boot: ", "console: ", "host: ", "boot-size: ", "root-size: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := read(declaration + "bot-size = 9\n"); err == nil || !strings.Contains(err.Error(), "bot-size") {
		t.Errorf("a misspelt key: %v", err)
	}
}
