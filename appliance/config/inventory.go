package config

import (
	"cmp"
	"fmt"
)

// Inventory is how long it is kept who used which port, and how.
type Inventory struct {
	// Days are counted from when a device was last seen; 0 means 90.
	Days int `json:"days"`
}

// The bounds of Inventory.Days: what would break is counted over 30 days, and a
// report of one year needs a little more than that.
const (
	usualInventory = 90
	leastInventory = 30
	mostInventory  = 400
)

func (i Inventory) filled() Inventory { return Inventory{Days: cmp.Or(i.Days, usualInventory)} }

func (i Inventory) validate() error {
	if d := i.filled().Days; d < leastInventory || d > mostInventory {
		return fmt.Errorf("days: %d is not between %d and %d", d, leastInventory, mostInventory)
	}

	return nil
}
