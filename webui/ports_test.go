package webui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// scanner is a client of which much is wrong.
func scanner() map[string]any {
	now := time.Now()

	return map[string]any{
		"id": "c1", "account": "anna@office.example", "credential": map[string]any{"kind": "password"}, "program": "Scan <1.2>",
		"addresses": []any{map[string]any{"addr": "192.168.7.20", "name": "scanner.lan", "local": true, "first": now, "last": now}},
		"uses": []any{map[string]any{
			"port": "imaps-legacy", "number": 990, "tls": "TLS 1.2", "cipher": "ECDHE", "mechanism": "PLAIN", "first": now, "last": now, "sessions": 41, "turned_away": 2,
		}},
		"first": now.Add(-100 * time.Hour), "last": now.Add(-2 * time.Hour), "sessions": 41, "failures": 3, "connected": 1,
		"risks": []any{
			map[string]any{"name": "only-990", "text": "it comes by port 990 alone", "do": "set its port to 993"},
			map[string]any{"name": "tls-1.2", "text": "it speaks TLS 1.2", "do": "update it"},
		},
	}
}

func portsBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t, true)
	b.api.say("GET /v1/ports", []any{
		map[string]any{"name": "imaps", "number": 993, "clients": 12, "accounts": 7, "last": time.Now()},
		map[string]any{"name": "imaps-legacy", "number": 990, "clients": 1, "accounts": 1, "last": time.Now().Add(-2 * time.Hour)},
	})
	b.api.say("GET /v1/ports/clients", []any{scanner()})
	b.api.say("GET /v1/ports/clients/c1", scanner())
	b.api.say("GET /v1/ports/strangers", []any{map[string]any{
		"network": "203.0.113.9/32", "last": time.Now(), "uses": []any{map[string]any{"port": "imaps-legacy", "silent": 3, "refused": 1, "failed": 2, "reason": "too old a TLS"}},
	}})
	b.api.say("GET /v1/ports/simulate", map[string]any{
		"from": time.Now().Add(-720 * time.Hour), "to": time.Now(), "summary": "closing 990 cuts off one person",
		"people": 1, "cut_off": 1, "otherwise": 11, "all_people": 7, "unknown": []string{"who was on holiday"},
		"affected": []any{map[string]any{"client": scanner(), "ways": []string{"port 990"}, "sessions": 41, "days": 5, "last": time.Now(), "elsewhere": "nowhere", "do": "set the port to 993"}},
	})

	return b
}

func TestPortsTellWhoUsesWhich(t *testing.T) {
	b := portsBox(t)
	w := b.as(webui.Auditor)
	w.get("/ports").says(t, "Port 993", "Port 990", "12 devices", "of 1 person", "scanner.lan", "990 alone", "203.0.113.9",
		"3 connections without a word on 990", "1 refused sign-in on 990", "Too old a TLS.")
	w.get("/ports?port=imaps").says(t, "None fits.")
	w.get("/ports?port=imaps-legacy&account=anna@office.example").says(t, "scanner.lan")
	w.get("/ports/clients/c1").says(t, "Scan &lt;1.2&gt;", "It comes by port 990 alone.", "Set its port to 993.", "own password", "2 turned away", "192.168.7.20")
}

func TestPortsAreEmptyAtFirst(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Auditor)
	w.get("/ports").says(t, "Nobody has signed in with a mail program yet.", "Nobody did.")
	if got := w.get("/ports/simulate"); got.status != http.StatusOK {
		t.Errorf("status %d", got.status)
	}
}

func TestSimulationsSayWhatWouldBreak(t *testing.T) {
	b := portsBox(t)
	w := b.as(webui.Auditor)
	w.get("/ports/simulate").says(t, "Closing 990 cuts off one person.", "cut off", "scanner.lan", "Set the port to 993.", "Who was on holiday.")
	for choice, want := range map[string]string{
		"": "change=close&port=imaps-legacy", "close-993": "change=close&port=imaps", "tls13": "change=tls13&port=", "no-plain": "change=no-plain&port=",
	} {
		w.get("/ports/simulate?change=" + choice)
		b.api.mu.Lock()
		last := ""
		for _, c := range b.api.calls {
			if strings.HasPrefix(c.Path, "/v1/ports/simulate") {
				last = c.Path
			}
		}
		b.api.mu.Unlock()
		if last != "/v1/ports/simulate?"+want {
			t.Errorf("%q asks %s, want %s", choice, last, want)
		}
	}
}
