package appliance

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMailFlowsWithoutAFirewallButNotInSilence: the network's process is dead.
func TestMailFlowsWithoutAFirewallButNotInSilence(t *testing.T) {
	var log bytes.Buffer
	a := &Appliance{log: slog.New(slog.NewTextHandler(&log, nil))}
	a.conf.NetworkSocket = filepath.Join(t.TempDir(), "socket")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	a.awaitRules(ctx)
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "without a firewall") {
		t.Errorf("the log says %q", log.String())
	}
	if err := a.checkFirewall(t.Context()); err == nil || !strings.Contains(err.Error(), "the network's service does not answer") {
		t.Errorf("the check says: %v", err)
	}
	a.conf.NetworkSocket = "" // the machine's own network
	if err := a.checkFirewall(t.Context()); err != nil {
		t.Error(err)
	}
}
