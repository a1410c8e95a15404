package access

// recent is a map that forgets what was not used for longest. It holds two
// generations: when the younger is full it becomes the older, and what nobody
// asked for since is dropped. So it costs a map's memory and no list beside it,
// and holds at least half of its bound and never more than that. The zero value
// is not ready; the owner's lock guards it.
type recent[K comparable, V any] struct {
	half       int // of the bound
	young, old map[K]V
}

func newRecent[K comparable, V any](bound int) *recent[K, V] {
	return &recent[K, V]{half: max(bound/2, 1), young: map[K]V{}}
}

// get returns a value, and keeps it for another generation.
func (r *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = r.young[k]; ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if _, ok := r.young[k]; !ok && len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[K]V, r.half)
	}
	delete(r.old, k)
	r.young[k] = v
}

func (r *recent[K, V]) drop(k K) {
	delete(r.young, k)
	delete(r.old, k)
}

func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
