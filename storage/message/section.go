package message

// Find locates the part that an IMAP section path (1-based numbers) names; an
// empty path is the message itself. Paths step through message/rfc822 as
// RFC 9051, section 6.4.5.1 says, and part 1 of a message that is not a
// multipart is its body. ok is false where there is no such part.
func Find(parts []Part, path []int) (index int, ok bool) {
	if len(parts) == 0 {
		return 0, false
	}
	message := true // parts[index] is a message, of which part 1 is the body
	for step, number := range path {
		if step > 0 && parts[index].Kind == Embedded && !message {
			if index, ok = child(parts, index, 1); !ok {
				return 0, false
			}
			message = true
		}
		switch {
		case parts[index].Kind == Multipart:
			if index, ok = child(parts, index, number); !ok {
				return 0, false
			}
		case !message || number != 1:
			return 0, false
		}
		message = false
	}
	return index, true
}

// child finds a part's child by its number.
func child(parts []Part, parent, number int) (index int, ok bool) {
	for i := parent + 1; i < len(parts) && parts[i].HeaderStart <= parts[parent].End; i++ {
		if parts[i].Parent != parent {
			continue
		}
		if number--; number == 0 {
			return i, true
		}
	}
	return 0, false
}
