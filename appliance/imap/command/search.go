package command

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
)

const (
	maxSearchDepth = 50
	maxSearchKeys  = 1000
)

func (r *Reader) search(uid bool) Args {
	s := &Search{UID: uid}
	cs := charset{}
	for first := true; ; first = false {
		r.dec.Space()
		if c := r.dec.Peek(); c == '(' || c == '$' || c == '*' || '0' <= c && c <= '9' {
			return r.searched(s, cs, "")
		}
		w := r.word()
		switch {
		case w == "RETURN" && first:
			r.dec.Space()
			s.Extended = true
			r.searchReturn(&s.Return)
		case w == "CHARSET" && s.Charset == "" && r.dec.Err() == nil:
			r.dec.Space()
			s.Charset = strings.ToUpper(r.dec.AString())
			cs = r.charset(s.Charset)
		default:
			return r.searched(s, cs, w)
		}
	}
}

// searched takes the program, and ends the command.
func (r *Reader) searched(s *Search, cs charset, word string) Args {
	s.Key = r.searchProgram(cs, word)
	if r.refusal != nil {
		r.refusal.Save = s.Return.ReturnSave
	}
	return s
}

// searchReturn: RFC 9051, section 6.4.4.
func (r *Reader) searchReturn(o *imap.SearchOptions) {
	empty := true
	r.list1(maxListItems, true, func() {
		empty = false
		switch w := r.word(); w {
		case "MIN":
			o.ReturnMin = true
		case "MAX":
			o.ReturnMax = true
		case "ALL":
			o.ReturnAll = true
		case "COUNT":
			o.ReturnCount = true
		case "SAVE": // RFC 5182, section 2
			o.ReturnSave = true
		default:
			r.unknown("return option", w)
		}
	})
	if empty {
		o.ReturnAll = true
	}
}

// searchProgram takes the keys up to the end of the command, all of which a
// message has to match. word is the first, if it has been taken already.
func (r *Reader) searchProgram(cs charset, word string) *SearchKey {
	var first *SearchKey
	if word != "" {
		first = r.wordKey(cs, word, 0)
	} else {
		first = r.searchKey(cs, 0)
	}
	keys := []*SearchKey{first}
	for r.dec.More() {
		keys = append(keys, r.searchKey(cs, 0))
	}
	return and(keys)
}

func and(keys []*SearchKey) *SearchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	return &SearchKey{Op: SearchAnd, Keys: keys}
}

func (r *Reader) searchKey(cs charset, depth int) *SearchKey {
	switch c := r.dec.Peek(); {
	case c == '(':
		return r.searchList(cs, depth+1)
	case c == '$' || c == '*' || '0' <= c && c <= '9':
		r.countKey()
		return &SearchKey{Op: SearchSet, Set: r.dec.NumSet(false)}
	}
	return r.wordKey(cs, r.word(), depth)
}

func (r *Reader) searchList(cs charset, depth int) *SearchKey {
	if depth > maxSearchDepth {
		r.dec.Fail("a search nested deeper than %d", maxSearchDepth)
		return nil
	}
	var keys []*SearchKey
	r.list1(maxSearchKeys, false, func() { keys = append(keys, r.searchKey(cs, depth)) })
	if r.dec.Err() != nil {
		return nil
	}
	return and(keys)
}

func (r *Reader) countKey() {
	if r.keys++; r.keys > maxSearchKeys {
		r.dec.Fail("a search of more than %d keys", maxSearchKeys)
	}
}

// nested takes the key that is the argument of another.
func (r *Reader) nested(cs charset, depth int) *SearchKey {
	if depth >= maxSearchDepth {
		r.dec.Fail("a search nested deeper than %d", maxSearchDepth)
		return nil
	}
	r.dec.Space()
	return r.searchKey(cs, depth+1)
}

func (r *Reader) wordKey(cs charset, word string, depth int) *SearchKey {
	r.countKey()
	if r.dec.Err() != nil {
		return nil
	}
	if f, ok := flagKeys[word]; ok {
		return flagLeaf(f.flag, f.not)
	}
	switch word {
	case "ALL", "SAVEDATESUPPORTED": // RFC 8514, section 4.3: every mailbox does
		return &SearchKey{Op: SearchAll}
	case "NEW":
		return &SearchKey{Op: SearchNew}
	case "OLD":
		return &SearchKey{Op: SearchOld}
	case "RECENT":
		return &SearchKey{Op: SearchRecent}
	case "NOT":
		return &SearchKey{Op: SearchNot, Keys: []*SearchKey{r.nested(cs, depth)}}
	case "OR":
		return &SearchKey{Op: SearchOr, Keys: []*SearchKey{r.nested(cs, depth), r.nested(cs, depth)}}
	case "UID":
		r.dec.Space()
		return &SearchKey{Op: SearchSet, Set: r.dec.UIDSet()}
	case "KEYWORD", "UNKEYWORD":
		r.dec.Space()
		f := r.dec.Flag()
		if f == "" {
			r.dec.Fail("expected a keyword")
		}
		return flagLeaf(f, word == "UNKEYWORD")
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		r.dec.Space()
		return dateKey(word, r.dec.Date())
	case "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
		r.dec.Space()
		return savedKey(word, r.dec.Date())
	case "EMAILID":
		r.dec.Space()
		return &SearchKey{Op: SearchEmailID, ID: r.objectID()}
	case "THREADID":
		r.dec.Space()
		return &SearchKey{Op: SearchThreadID, ID: r.objectID()}
	case "LARGER", "SMALLER":
		r.dec.Space()
		return sizeKey(word, int64(r.dec.Number64()))
	case "OLDER", "YOUNGER":
		r.dec.Space()
		return r.ageKey(word)
	case "FROM", "TO", "CC", "BCC", "SUBJECT", "HEADER", "BODY", "TEXT":
		return r.textKey(cs, word)
	case "MODSEQ":
		r.dec.Space()
		return r.modSeqKey()
	}
	r.unknown("search key", word)
	return nil
}

type flagKey struct {
	flag imap.Flag
	not  bool
}

var flagKeys = map[string]flagKey{
	"SEEN":       {imap.FlagSeen, false},
	"UNSEEN":     {imap.FlagSeen, true},
	"ANSWERED":   {imap.FlagAnswered, false},
	"UNANSWERED": {imap.FlagAnswered, true},
	"FLAGGED":    {imap.FlagFlagged, false},
	"UNFLAGGED":  {imap.FlagFlagged, true},
	"DELETED":    {imap.FlagDeleted, false},
	"UNDELETED":  {imap.FlagDeleted, true},
	"DRAFT":      {imap.FlagDraft, false},
	"UNDRAFT":    {imap.FlagDraft, true},
}

func leaf(c imap.SearchCriteria) *SearchKey { return &SearchKey{Op: SearchLeaf, Leaf: c} }

func not(k *SearchKey) *SearchKey { return &SearchKey{Op: SearchNot, Keys: []*SearchKey{k}} }

func flagLeaf(f imap.Flag, not bool) *SearchKey {
	if not {
		return leaf(imap.SearchCriteria{NotFlag: []imap.Flag{f}})
	}
	return leaf(imap.SearchCriteria{Flag: []imap.Flag{f}})
}

func dateKey(word string, day time.Time) *SearchKey {
	next := day.AddDate(0, 0, 1)
	switch word {
	case "BEFORE":
		return leaf(imap.SearchCriteria{Before: day})
	case "SINCE":
		return leaf(imap.SearchCriteria{Since: day})
	case "SENTBEFORE":
		return leaf(imap.SearchCriteria{SentBefore: day})
	case "SENTSINCE":
		return leaf(imap.SearchCriteria{SentSince: day})
	case "SENTON":
		return and([]*SearchKey{leaf(imap.SearchCriteria{SentSince: day}), leaf(imap.SearchCriteria{SentBefore: next})})
	}
	return and([]*SearchKey{leaf(imap.SearchCriteria{Since: day}), leaf(imap.SearchCriteria{Before: next})})
}

// savedKey: RFC 8514, section 4.3.
func savedKey(word string, day time.Time) *SearchKey {
	before := &SearchKey{Op: SearchSavedBefore, Day: day}
	since := &SearchKey{Op: SearchSavedSince, Day: day}
	switch word {
	case "SAVEDBEFORE":
		return before
	case "SAVEDSINCE":
		return since
	}
	before.Day = day.AddDate(0, 0, 1)
	return and([]*SearchKey{since, before})
}

// objectID: RFC 8474, section 7.
func (r *Reader) objectID() string {
	id := r.dec.AString()
	valid := id != "" && len(id) <= 255
	for i := range len(id) {
		c := id[i]
		valid = valid && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !valid {
		r.dec.Fail("%s is not an object identifier", wire.Printable(id))
	}
	return id
}

// sizeKey makes a leaf, in which 0 would mean that there is no criterion.
func sizeKey(word string, n int64) *SearchKey {
	switch {
	case word == "LARGER" && n > 0:
		return leaf(imap.SearchCriteria{Larger: n})
	case word == "LARGER":
		return not(leaf(imap.SearchCriteria{Smaller: 1}))
	case n > 0:
		return leaf(imap.SearchCriteria{Smaller: n})
	}
	return not(&SearchKey{Op: SearchAll})
}

// ageKey: RFC 5032, section 3.
func (r *Reader) ageKey(word string) *SearchKey {
	k := &SearchKey{Op: SearchOlder, Age: time.Duration(r.dec.PositiveNumber()) * time.Second}
	if word == "YOUNGER" {
		k.Op = SearchYounger
	}
	return k
}

func (r *Reader) textKey(cs charset, word string) *SearchKey {
	r.dec.Space()
	field := word
	if word == "HEADER" {
		field = r.dec.AString()
		r.dec.Space()
	}
	value := r.decode(cs, r.dec.AString())
	switch word {
	case "BODY":
		return leaf(imap.SearchCriteria{Body: []string{value}})
	case "TEXT":
		return leaf(imap.SearchCriteria{Text: []string{value}})
	}
	return leaf(imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: headerName(field), Value: value}}})
}

// headerName spells the fields that have a search key of their own as the
// library does, so that SUBJECT and HEADER SUBJECT are the same.
func headerName(field string) string {
	for _, name := range [...]string{"From", "To", "Cc", "Bcc", "Subject"} {
		if strings.EqualFold(field, name) {
			return name
		}
	}
	return field
}

// modSeqKey: RFC 7162, section 3.1.5.
func (r *Reader) modSeqKey() *SearchKey {
	c := &imap.SearchCriteriaModSeq{}
	if r.dec.Peek() == '"' {
		c.MetadataName = r.dec.String()
		r.dec.Space()
		switch w := r.word(); w {
		case "PRIV":
			c.MetadataType = imap.SearchCriteriaMetadataPrivate
		case "SHARED":
			c.MetadataType = imap.SearchCriteriaMetadataShared
		case "ALL":
			c.MetadataType = imap.SearchCriteriaMetadataAll
		default:
			r.unknown("entry type", w)
		}
		r.dec.Space()
	}
	c.ModSeq = r.dec.Number64()
	return leaf(imap.SearchCriteria{ModSeq: c})
}
