package change_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"pillarbox/appliance/config"
)

// TestKilledAtAnyMomentOfAChange kills one of the processes, or both, while a
// change is applied and confirmed. Then the network is as the newest version
// says, whichever that is, and nothing is pending. PILLARBOX_KILLS says how
// often, PILLARBOX_SEED repeats.
func TestKilledAtAnyMomentOfAChange(t *testing.T) {
	kills, seed := 4, uint64(time.Now().UnixNano())
	for name, set := range map[string]func(n uint64){
		"PILLARBOX_KILLS": func(n uint64) { kills = int(n) }, "PILLARBOX_SEED": func(n uint64) { seed = n },
	} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			set(n)
		}
	}
	seed %= 1 << 32
	t.Logf("PILLARBOX_SEED=%d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	o := open(t)
	o.startNetwork()
	o.Start(t)
	o.holds(2, ours)
	for range kills {
		o.killedInAChange(dice)
	}
}

func (o *office) killedInAChange(dice *rand.Rand) {
	o.t.Helper()
	before := o.newest()
	d := before.Document
	address := "192.0.2.3/24"
	if addressOf(&d) == "192.0.2.3" {
		address = "192.0.2.4/24"
	}
	move(address)(&d)
	name := o.write(&d)
	said, confirmed := make(chan struct{}), false
	go func() {
		defer close(said)
		if _, _, err := o.command("net", "apply", "--yes", name); err == nil {
			_, _, err = o.command("net", "confirm")
			confirmed = err == nil
		}
	}()
	after := time.Duration(dice.Int64N(int64(700 * time.Millisecond)))
	time.Sleep(after)
	network, server := true, true
	switch dice.IntN(3) {
	case 0:
		network = false
	case 1:
		server = false
	}
	if network {
		o.killNetwork()
	}
	if server {
		o.Kill(o.t)
	}
	<-said
	if network {
		o.startNetwork()
	}
	if server {
		o.Start(o.t)
	} else {
		_, _, _ = o.command("net", "revert") // there may be nothing to take back
	}
	now := o.newest()
	o.t.Logf("killed after %v (network %v, mail server %v): version %d, then %d, confirmed %v", after, network, server, before.Number, now.Number, confirmed)
	if confirmed && now.Number == before.Number {
		o.t.Error("a confirmed change is lost")
	}
	o.holds(now.Number, addressOf(&now.Document))
}

func addressOf(d *config.Document) string {
	return d.Network.Interfaces[0].IPv4.Addresses[0].Addr().String()
}
