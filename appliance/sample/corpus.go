package sample

import (
	"fmt"
	"iter"
	"math"
	"strings"
	"time"
)

// Sizes of a corpus: most messages have 2 to 60 KB, small ones being more
// frequent; one in 285 has 2 MB. 10,000 have about 239 MB.
const (
	smallest    = 2_000
	largest     = 60_000
	huge        = 2_000_000
	oneIsHuge   = 285
	perMessage  = 1_300 // octets of headers and boundaries, roughly
	betweenMail = 13 * time.Minute
)

// Corpus yields n messages. Messages are made as they are asked for, each in
// memory of its own.
func Corpus(seed uint64, n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		w := newWriter(seed)
		date := time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)
		var thread []string
		for i := range n {
			size := int(smallest * math.Pow(largest/smallest, w.rnd.Float64()))
			if i%oneIsHuge == oneIsHuge-1 {
				size = huge
			}
			m := w.message(date, size)
			m.id = fmt.Sprintf("%d.%d@%s", seed, i, domainOf(m.from))
			if len(thread) > 0 && w.rnd.IntN(3) > 0 {
				m.replyTo = thread
			} else {
				thread = nil
			}
			if thread = append(thread[:len(thread):len(thread)], m.id); len(thread) > 8 {
				thread = nil
			}
			if !yield(m.bytes()) {
				return
			}
			date = date.Add(betweenMail)
		}
	}
}

// message makes a message of about size octets: text and HTML, and, where
// that would be a long read, attachments.
func (w *writer) message(date time.Time, size int) *message {
	m := &message{
		from:    pick(w, correspondents),
		to:      []person{{"Anna Berg", "anna@office.example"}},
		subject: w.subject(),
		date:    date,
		html:    w.rnd.IntN(4) > 0,
	}
	if w.rnd.IntN(3) == 0 {
		m.cc = []person{{"Ben Okafor", "ben@office.example"}, pick(w, correspondents)}
	}
	size = max(size-perMessage, 200)
	text := min(size, 1_000+w.rnd.IntN(7_000))
	if m.html {
		m.text = w.paragraphs(text / 2)
	} else {
		m.text = w.paragraphs(text)
	}
	if rest := (size - text) * 57 / 78; rest > 500 {
		m.files = []file{{
			name:        fmt.Sprintf("scan-%d.jpg", w.rnd.IntN(10_000)),
			contentType: "image/jpeg",
			data:        w.octets(rest),
		}}
	}

	return m
}

func (w *writer) subject() string {
	s := pick(w, subjects)
	if strings.Contains(s, "%d") {
		s = fmt.Sprintf(s, 1+w.rnd.IntN(900))
	}

	return s
}

func domainOf(p person) string {
	_, domain, _ := strings.Cut(p.address, "@")

	return domain
}
