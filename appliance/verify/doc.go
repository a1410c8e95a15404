// Package verify reads stored mail from end to end and tells what is damaged:
// what `pillarbox check` does. It changes nothing and can run while mail comes
// in and people read it.
package verify
