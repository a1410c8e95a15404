package main

import (
	"log/slog"
	"os"
	"os/exec"
	"slices"

	"github.com/gokrazy/gokrazy"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/network"
)

const mailProgram = "/user/pillarbox"

// services returns what gokrazy supervises. Nothing that goes wrong here may
// keep the rest from starting.
func services(log *slog.Logger, s *firmware.System) []*gokrazy.Service {
	commands := append(networkCommands(log, s), exec.Command("/gokrazy/randomd"))
	if !s.ReadOnly {
		commands = append(commands, mailCommand(s))
	}
	env := slices.Concat(os.Environ(), s.Environment())
	var all []*gokrazy.Service
	for _, c := range commands {
		c.Env = slices.Clone(env)
		all = append(all, gokrazy.NewService(c))
	}

	return all
}

// mailCommand returns the mail server. It waits by itself before it serves
// again after it ended badly: gokrazy starts it again after a second, for ever.
func mailCommand(s *firmware.System) *exec.Cmd {
	c := exec.Command(mailProgram, "serve", "--data", firmware.DataDir, "--back-off", "--log-file",
		"--conditions", firmware.ConditionsFile, "--network-socket", network.SocketFile,
		"--power-socket", powerSocket)
	if s.Settings.Host != "" {
		c.Args = append(c.Args, "--name", s.Settings.Host)
	}
	if s.Settings.Admin != "" {
		c.Args = append(c.Args, "--admin-password-hash-file", firmware.AdminHashFile)
	}

	return c
}
