package message_test

import (
	"testing"

	"pillarbox/storage/message"
)

func TestFind(t *testing.T) {
	nested := parse(t, readTestdata(t, "rfc822.eml")).Parts
	plain := parse(t, readTestdata(t, "plain.eml")).Parts
	topEmbedded := parse(t, readTestdata(t, "top-rfc822.eml")).Parts
	digest := parse(t, readTestdata(t, "digest.eml")).Parts
	const none = -1
	for _, tt := range []struct {
		name  string
		parts []message.Part
		path  []int
		want  int
	}{
		{"message", plain, nil, 0},
		{"body of a message that is no multipart", plain, []int{1}, 0},
		{"no second part", plain, []int{2}, none},
		{"nothing below a leaf", plain, []int{1, 1}, none},
		{"first part", nested, []int{1}, 1},
		{"nothing below a part that is a leaf", nested, []int{1, 1}, none},
		{"message in a part", nested, []int{2}, 2},
		{"first part of a message in a part", nested, []int{2, 1}, 4},
		{"second part of a message in a part", nested, []int{2, 2}, 5},
		{"no third part there", nested, []int{2, 3}, none},
		{"last part", nested, []int{3}, 6},
		{"zero", nested, []int{0}, none},
		{"below zero", nested, []int{-1}, none},
		{"a message as body", topEmbedded, []int{1}, 0},
		{"body of a message as body", topEmbedded, []int{1, 1}, 1},
		{"nothing below that", topEmbedded, []int{1, 1, 1}, none},
		{"body of a message in a digest", digest, []int{2, 1}, 4},
		{"no parts", nil, nil, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := message.Find(tt.parts, tt.path)
			if ok != (tt.want != none) || ok && got != tt.want {
				t.Errorf("Find(%v) = %d, %v, want %d", tt.path, got, ok, tt.want)
			}
		})
	}
}
