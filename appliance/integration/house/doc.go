// Package house holds no code: it is the place of the tests that keep the
// house in order. They read the source of every room and fail where a rule
// that the compiler cannot know is broken: which room may import which, that
// every package says what it is for, how long a file may be.
package house
