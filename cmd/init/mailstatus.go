package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/health"
)

// statusTime bounds the question to the mail server.
const statusTime = 15 * time.Second

// mailStatus is what the screen shows of what "pillarbox status --json" tells.
type mailStatus struct {
	Running   bool           `json:"running"`
	Listeners []mailListener `json:"listeners"`
	Claim     string         `json:"claim"` // by which the box gets its administrator; "" once it has one
	CA        struct {
		SHA256 string `json:"sha256"`
	} `json:"ca"`
	Certificate *struct {
		Issuer string `json:"issuer"`
		SHA256 string `json:"sha256"`
	} `json:"certificate"`
	Health   []health.Condition `json:"health"`
	Restarts struct {
		LastCrash *struct {
			Time   time.Time `json:"time"`
			Reason string    `json:"reason"`
			File   string    `json:"file"`
		} `json:"last_crash"`
	} `json:"restarts"`
}

// mailListener is a port of the mail server's that is open.
type mailListener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// askMail asks the mail server how it is. The error says in words why there is
// no answer.
func askMail(ctx context.Context) (*mailStatus, error) {
	ctx, stop := context.WithTimeout(ctx, statusTime)
	defer stop()
	cmd := exec.CommandContext(ctx, mailProgram, "status", "--json", "--data", firmware.DataDir)
	out, err := cmd.Output()
	// It ends with another status than 0 also where it has much to tell.
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("the mail server's program cannot be started: %w", err)
	}
	s := &mailStatus{}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(s); err != nil {
		return nil, fmt.Errorf("the mail server does not tell how it is: %w", errors.Join(err, ctx.Err()))
	}
	if !s.Running {
		words := "the mail server does not run"
		if exit != nil {
			words = strings.TrimSpace(string(exit.Stderr))
		}
		return nil, errors.New(strings.ReplaceAll(strings.TrimPrefix(words, "pillarbox: "), "\n", ". "))
	}

	return s, nil
}
