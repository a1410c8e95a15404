package rehearsal_test

import (
	"testing"

	"pillarbox/netcfg/netlab"
)

func TestMain(m *testing.M) { netlab.Main(m) }
