package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestInterruptingTheQuestionIsAnAnswer(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	in, out := io.Pipe() // nobody types
	defer out.Close()
	stop()
	if got := answer(ctx, in); got != "" {
		t.Errorf("answer = %q", got)
	}
	if got := answer(t.Context(), strings.NewReader("sdb\n")); got != "sdb" {
		t.Errorf("answer = %q, want what was typed", got)
	}
}

func TestProgressNamesThePhases(t *testing.T) {
	var b bytes.Buffer
	p := progress(&b)
	for _, phase := range []string{"writing", "verifying"} {
		p(phase, 1<<20, 4<<20)
		p(phase, 4<<20, 4<<20)
	}
	for _, want := range []string{"writing", "verifying", "100%"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the progress lacks %q: %q", want, b.String())
		}
	}
}
