package audit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Place is one in the record: of each book the number of a record, 0 for its end.
// Who has read the records down to there goes on with those before it.
type Place struct{ Acts, Access uint64 }

// errPlace says that a text names no place.
var errPlace = errors.New("a place in the record is wanted, such as acts:120,access:4500, as the listing before told it")

// ParsePlace reads what String wrote; "" is the end.
func ParsePlace(text string) (Place, error) {
	var p Place
	if text == "" {
		return p, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(part, ":")
		n, err := strconv.ParseUint(number, 10, 64)
		at := p.of(Book(name))
		if err != nil || n == 0 || at == nil || *at != 0 {
			return Place{}, errPlace
		}
		*at = n
	}

	return p, nil
}

// String returns it as a text; "" is the end.
func (p Place) String() string {
	var parts []string
	for _, b := range []Book{Acts, Access} {
		if n := *p.of(b); n != 0 {
			parts = append(parts, fmt.Sprintf("%s:%d", b, n))
		}
	}

	return strings.Join(parts, ",")
}

// of returns the number for a book; nil if there is no such book.
func (p *Place) of(b Book) *uint64 {
	switch b {
	case Acts:
		return &p.Acts
	case Access:
		return &p.Access
	}

	return nil
}

// After returns the place behind what List returned for a Filter with p.
func (p Place) After(shown []Entry) Place {
	for i := range shown {
		if at := p.of(shown[i].Book); at != nil && (*at == 0 || shown[i].Seq < *at) {
			*at = shown[i].Seq
		}
	}

	return p
}
