package main

import (
	"log/slog"
	"os"
	"os/exec"
	"slices"

	"github.com/gokrazy/gokrazy"

	"pillarbox/appliance/firmware"
)

const (
	mailProgram = "/user/pillarbox"
	keepProgram = "/gokrazy/keep"
	dataDir     = firmware.Perm + "/pillarbox"

	// endsDir is where the mail server's last words are kept.
	endsDir = firmware.Perm + "/ends"
)

// services returns what gokrazy supervises. Nothing that goes wrong here may
// keep the rest from starting.
func services(log *slog.Logger, s *firmware.System) []*gokrazy.Service {
	commands := append(networkCommands(log, s), exec.Command("/gokrazy/randomd"))
	if !s.ReadOnly {
		mail := exec.Command(keepProgram, endsDir, mailProgram, "serve", "--data", dataDir)
		if s.Settings.Host != "" {
			mail.Args = append(mail.Args, "--name", s.Settings.Host)
		}
		commands = append(commands, mail)
	}
	env := slices.Concat(os.Environ(), s.Environment())
	var all []*gokrazy.Service
	for _, c := range commands {
		c.Env = slices.Clone(env)
		all = append(all, gokrazy.NewService(c))
	}

	return all
}
