package main

import (
	"fmt"
	"runtime"
)

type versionCommand struct {
	jsonFlag
}

// versionInfo is what the command tells.
type versionInfo struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run prints the version.
func (c *versionCommand) Run(e *env) error {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if c.JSON {
		return printJSON(e.stdout, v)
	}
	_, err := fmt.Fprintf(e.stdout, "pillarbox %s (%s, %s)\n", v.Version, v.Go, v.Platform)

	return err
}
