// Package moving holds no code: it is the place of the tests in which the
// finished binary takes over mail from real servers, also while it is killed.
package moving
