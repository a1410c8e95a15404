// Package health knows what is wrong with the box, in words for a person, and
// whether the program is alive.
//
// A [Condition] is something that is wrong now: it has a name that scripts may
// rely on, a title, a severity, a text that says what to do, and the time
// since when. A [Kind] says which conditions there can be; one that comes and
// goes by itself is shown only after a while, and one that follows from
// another is not shown beside it, so that one broken cable is one message.
//
// The [Monitor] puts checks to the program itself. A check that fails is a
// condition. A check that does not come back, or that keeps failing in a way
// which a new start mends, makes the program sick: Run returns a [SickError],
// and whoever started the program is to start it again. A disk that fails is
// not mended so; then the program stays, because reading may still work.
//
// The package imports nothing of ours: what is checked is told to it.
package health
