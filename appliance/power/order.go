package power

import (
	"fmt"
	"slices"
)

// Order is what is to become of the machine.
type Order string

// The orders.
const (
	Restart Order = "restart"
	Off     Order = "off"
)

// Orders returns all.
func Orders() []Order { return []Order{Restart, Off} }

// ParseOrder finds an order by its word.
func ParseOrder(word string) (Order, error) {
	if o := Order(word); slices.Contains(Orders(), o) {
		return o, nil
	}

	return "", fmt.Errorf("%q is none of %v", word, Orders())
}
