package images_test

import (
	"regexp"
	"testing"
	"time"

	"pillarbox/images/machine"
)

// TestFactoryResetByTheMenu resets a box with its mail kept, and then wipes it;
// there the power is cut as soon as that is ordered.
func TestFactoryResetByTheMenu(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	b.on()
	b.untilGreeting(b.Started)
	first := b.fingerprint()
	b.addAccount()
	uid := b.append(b.IMAPS)

	b.choose("Factory reset")
	b.read(regexp.MustCompile(`Type keep or wipe`))
	b.say("keep")
	b.read(regexp.MustCompile(`It is ordered`))
	asked := time.Now()
	b.untilSilence()
	b.untilGreeting(asked)
	b.checkMessage(b.IMAPS, uid)
	if again := b.fingerprint(); again == first {
		t.Errorf("after the reset the authority is the same, %s", again)
	}

	b.choose("Factory reset")
	b.read(regexp.MustCompile(`Type keep or wipe`))
	b.say("wipe")
	b.read(regexp.MustCompile(`Type delete all mail`))
	b.say("delete all mail")
	b.read(regexp.MustCompile(`It is ordered`))
	b.Cut()
	b.on()
	b.untilGreeting(b.Started)
	c, err := dial(b.IMAPS)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(account, b.password).Wait(); err == nil {
		t.Error("the account is still there after all was deleted")
	}
	b.choose("List the accounts")
	b.read(regexp.MustCompile(`There are no accounts yet`))
	b.off()
	checkDisk(t, b.config.Disk)
}

// fingerprint reads the box's authority from its screen.
func (b *box) fingerprint() string {
	b.t.Helper()
	b.say("") // shows the screen anew

	return b.read(regexp.MustCompile(`SHA-256 ([0-9A-F:]{95})`))[1]
}
