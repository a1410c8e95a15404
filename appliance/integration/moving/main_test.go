package moving_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"pillarbox/appliance/integration/rig"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pillarbox")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = rig.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
