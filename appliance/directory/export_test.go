package directory

// HashWeakly returns the hash of a password as an older version with lower
// costs would have stored it.
func HashWeakly(password string) string {
	h := hashPassword(password, params{memory: 64, time: 1, threads: 1})
	return h.String()
}

// RoundTripPHC parses a hash and writes it again.
func RoundTripPHC(s string) (string, error) {
	h, err := parsePHC(s)
	return h.String(), err
}

// Matches tells whether a stored hash is of a password.
func Matches(s, password string) (bool, error) {
	h, err := parsePHC(s)
	return err == nil && h.matches(password), err
}

// Forget empties the cache of verified passwords.
func (d *Directory) Forget() { d.cache = newCache(d.now) }

// Remembered returns how many verified passwords the cache holds.
func (d *Directory) Remembered() int { return len(d.cache.entries) }

// CacheSize bounds Remembered.
const CacheSize = cacheSize

// FillCache remembers n passwords of an account that does not exist.
func (d *Directory) FillCache(n int) {
	for i := range n {
		d.cache.put("nobody", "x", string(rune(i)))
	}
}

// Hold takes all places in which hashes are computed until free is called.
func (d *Directory) Hold() (free func()) {
	others := d.HoldStrangers()
	d.kept <- struct{}{}
	return func() {
		<-d.kept
		others()
	}
}

// HoldStrangers takes all that strangers can have.
func (d *Directory) HoldStrangers() (free func()) {
	for range cap(d.hashing) {
		d.hashing <- struct{}{}
	}
	return func() {
		for range cap(d.hashing) {
			<-d.hashing
		}
	}
}
