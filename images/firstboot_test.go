package images_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"pillarbox/images/machine"
)

// TestFirstBootSurvivesPowerCuts takes the power away while the data partition
// is being made, each time a bit later, and then lets the box start.
func TestFirstBootSurvivesPowerCuts(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	r := random(t)
	for round := range cuts(t) {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			b := newBox(t, "qemu-amd64", machine.Q35)
			for cut := range 3 {
				b.on()
				// Once it is made, only its check is shown.
				b.read(regexp.MustCompile(`making the data partition|data partition checked`))
				after := time.Duration(r.Int64N(int64(3 * time.Second)))
				time.Sleep(after)
				b.Cut()
				t.Logf("cut %d: %s after the partition was begun", cut, after)
			}
			b.on()
			b.untilGreeting(b.Started)
			b.addAccount()
			b.checkMessage(b.IMAPS, b.append(b.IMAPS))
			b.off()
			checkDisk(t, b.config.Disk)
		})
	}
}
