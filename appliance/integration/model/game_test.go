package model_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

const password = "Wood-stove 4 Lantern"

// sessions is how many mail programs are open at a time.
const sessions = 3

// step is one step of a script. What it does is drawn from the seed.
type step struct {
	who   int
	seed  uint64
	plain bool // the simplest form of what it does, for a script that is shortened
}

// game plays one script with an account of its own.
type game struct {
	t       testing.TB
	box     *rig.Box
	login   string
	model   *account
	clients []*client
	auditor *client
	mails   int
	log     []string // what was said, as a person would say it
}

func newGame(t testing.TB, box *rig.Box, login string) (*game, error) {
	g := &game{t: t, box: box, login: login, model: newAccount()}
	if out := box.Command([]byte(password+"\n"), "account", "add", login, "--password-stdin").Run(t); out.Err != nil {
		return nil, fmt.Errorf("add an account: %w: %s", out.Err, out.All())
	}
	return g, g.open()
}

// open logs all sessions in.
func (g *game) open() error {
	if g.clients == nil {
		g.clients = make([]*client, sessions)
	}
	for i := range g.clients {
		if err := g.connect(i); err != nil {
			return err
		}
	}
	w, err := g.dial()
	g.auditor = &client{wire: w}
	return err
}

func (g *game) dial() (*rig.Wire, error) {
	w, err := rig.DialWire(g.box.IMAPS(g.t, "tcp4"), g.box.TLS(g.t))
	if err != nil {
		return nil, err
	}
	return w, w.Login(g.login, password)
}

func (g *game) connect(who int) error {
	w, err := g.dial()
	if err != nil {
		return err
	}
	c := &client{wire: w, qresync: who == 0, cache: map[*mailbox]*view{}}
	if old := g.clients[who]; old != nil {
		old.leave()
		c.cache = old.cache
	}
	g.clients[who] = c
	if c.qresync {
		g.note(who, "ENABLE QRESYNC")
		_, err = w.Do("ENABLE QRESYNC")
	}
	return err
}

func (g *game) close() {
	for _, c := range append(g.clients, g.auditor) {
		if c != nil && c.wire != nil {
			c.wire.Close()
		}
	}
}

// note adds to the transcript.
func (g *game) note(who int, text string) {
	name := fmt.Sprint(who + 1)
	if who < 0 {
		name = "-"
	}
	if len(text) > 400 {
		text = fmt.Sprintf("%s … (%d octets)", text[:80], len(text))
	}
	g.log = append(g.log, name+"> "+strings.ReplaceAll(text, "\r\n", "\r\n   "))
}

// play plays a script; the error tells where server and model part.
func (g *game) play(script []step) error {
	defer g.close()
	if err := g.audit(); err != nil {
		return fmt.Errorf("at the start: %w", err)
	}
	for i, s := range script {
		if err := g.step(s); err != nil {
			return err
		}
		if err := g.others(); err != nil {
			return err
		}
		if err := g.auditChanged(); err != nil {
			return err
		}
		for _, c := range g.clients {
			if v := c.view; v != nil && v.stale(true) == "" {
				v.high = v.box.high
			}
		}
		if i%40 == 39 {
			if err := g.audit(); err != nil {
				return err
			}
		}
	}
	return g.audit()
}

// others looks after the sessions that did not speak: idle ones are told at
// once, and those whose mailbox was deleted are told to go.
func (g *game) others() error {
	for i, c := range g.clients {
		switch {
		case c.view == nil:
		case c.view.box.gone:
			if err := g.bereaved(i); err != nil {
				return err
			}
		case c.idle:
			if err := c.await(); err != nil {
				return fmt.Errorf("session %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// bereaved sees the end of a session whose mailbox is gone.
func (g *game) bereaved(who int) error {
	c := g.clients[who]
	c.view = nil
	var a *answer
	var err error
	if c.idle {
		a, err = c.finish()
	} else {
		g.note(who, "NOOP")
		a, err = c.do("NOOP")
	}
	if err != nil || a.status != "BYE" {
		return fmt.Errorf("session %d, whose mailbox was deleted: %+v, %v; want BYE", who+1, a, err)
	}
	c.wire.Close()
	g.note(-1, fmt.Sprintf("(%d logs in again)", who+1))
	return g.connect(who)
}

// say sends a command, which the model has carried out already, and compares
// what the client was told.
func (g *game) say(who int, command, status string, expunges bool) (*answer, error) {
	g.note(who, command)
	c := g.clients[who]
	if c.view != nil {
		c.view.expunged = false
	}
	a, err := c.do(command)
	if err != nil {
		return a, fmt.Errorf("session %d: %w", who+1, err)
	}
	if a.status != status {
		return a, fmt.Errorf("session %d is answered %s [%s], want %s", who+1, a.status, a.code, status)
	}
	if c.view == nil || c.view.box.gone {
		return a, nil
	}
	if c.view.expunged && !expunges {
		return a, fmt.Errorf("session %d is told of an EXPUNGE in answer to sequence numbers", who+1)
	}
	return a, nil
}

// settle compares what the client knows after its command.
func (g *game) settle(who int, expunges bool) error {
	v := g.clients[who].view
	if v == nil || v.box.gone {
		return nil
	}
	v.coming = nil
	if stale := v.stale(expunges); stale != "" {
		return fmt.Errorf("session %d: %s", who+1, stale)
	}
	return nil
}

// ask is say and settle.
func (g *game) ask(who int, command, status string, expunges bool) (*answer, error) {
	a, err := g.say(who, command, status, expunges)
	if err == nil {
		err = g.settle(who, expunges)
	}
	return a, err
}

// restart stops or kills the server and starts it again; all log in again.
func (g *game) restart(kill bool) error {
	for _, c := range append(g.clients, g.auditor) {
		defer c.wire.Close()
	}
	if kill {
		g.note(-1, "(the server is killed and started again; all log in)")
		g.box.Kill(g.t)
	} else {
		g.note(-1, "(the server is stopped and started again; all log in)")
		g.box.Stop(g.t)
	}
	g.box.Start(g.t)
	if err := g.open(); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	return g.audit()
}

// newMail draws a message.
func (g *game) newMail(r *rand.Rand, plain bool) *message {
	g.mails++
	m := &message{mail: g.mails}
	trees, colours := []string{"oak", "elm", "ash"}, []string{"red", "blue", "green"}
	text := fmt.Sprintf("Subject: %s %d\r\n\r\n%s\r\n", trees[r.IntN(3)], g.mails, colours[r.IntN(3)])
	if r.IntN(3) == 0 && !plain { // large enough for a file of its own
		text += strings.Repeat("Wood for the stove.\r\n", 250+r.IntN(200))
	}
	m.text = []byte(text)
	m.size = len(text)
	return m
}

var errNothing = errors.New("nothing to do")

// pick draws some of a list.
func pick[T any](r *rand.Rand, list []T, plain bool) []T {
	if len(list) == 0 {
		return nil
	}
	if plain || r.IntN(3) == 0 {
		return []T{list[r.IntN(len(list))]}
	}
	share := 1 + r.IntN(4)
	return slices.DeleteFunc(slices.Clone(list), func(T) bool { return r.IntN(4) >= share })
}
