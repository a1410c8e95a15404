package command

import (
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Command is one parsed command. Args is one of the types below.
type Command struct {
	Tag  string
	Name string // upper case, with "UID " in front where it was
	Args Args
}

// Args is implemented by every argument type of this package.
type Args interface{ args() }

// The commands without arguments.
type (
	Capability struct{}
	Noop       struct{}
	Logout     struct{}
	StartTLS   struct{}
	Check      struct{}
	Close      struct{}
	Unselect   struct{}
	Namespace  struct{}
	Idle       struct{}
)

// Login is LOGIN.
type Login struct{ Username, Password string }

// Authenticate is AUTHENTICATE. Initial is nil without an initial response
// and empty for "=" (RFC 4959).
type Authenticate struct {
	Mechanism string // upper case
	Initial   []byte
}

// Enable is ENABLE (RFC 5161).
type Enable struct{ Caps []imap.Cap }

// ID is ID (RFC 2971); Params is nil for NIL. Keys are lower case.
type ID struct{ Params map[string]string }

// Select is SELECT or EXAMINE. Mailbox names are UTF-8 everywhere in this package.
type Select struct {
	Mailbox   string
	ReadOnly  bool
	CondStore bool
	QResync   *QResync // nil if not given
}

// QResync is what a client knows of a mailbox that it has seen before
// (RFC 7162, section 3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       imap.UIDSet // nil if not given
	// Match is a sample of the sequence numbers the client knows, with the
	// UIDs of these messages in MatchUIDs, as many; nil if not given.
	Match     imap.SeqSet
	MatchUIDs imap.UIDSet
}

// Create is CREATE; SpecialUse comes from USE (RFC 6154).
type Create struct {
	Mailbox    string
	SpecialUse []imap.MailboxAttr
}

// Delete is DELETE.
type Delete struct{ Mailbox string }

// Rename is RENAME.
type Rename struct{ From, To string }

// Subscribe is SUBSCRIBE or, with Off, UNSUBSCRIBE.
type Subscribe struct {
	Mailbox string
	Off     bool
}

// ListForm tells which command asked.
type ListForm int

// The forms of LIST.
const (
	ListPlain    ListForm = iota
	ListExtended          // options were given (RFC 5258)
	LSub
	XList
)

// List is LIST, LSUB or XLIST.
type List struct {
	Form      ListForm
	Reference string
	Patterns  []string
	Options   imap.ListOptions
	MailboxID bool // among the items of Options.ReturnStatus (RFC 8474)
}

// Status is STATUS.
type Status struct {
	Mailbox   string
	Options   imap.StatusOptions
	MailboxID bool // RFC 8474
}

// Append is APPEND. Its messages are read while the command is carried out.
type Append struct {
	Mailbox string
	// Next reads up to the next message's literal; nil at the end of the
	// command (RFC 3502 allows several). The one before must have been
	// Accepted and read to its end, or Refused.
	Next func() (*AppendMessage, error)
}

// AppendMessage is one message of an APPEND.
type AppendMessage struct {
	Flags  []imap.Flag
	Time   time.Time // zero if not given
	Size   int64     // octets announced
	Binary bool      // literal8 (RFC 3516)
	UTF8   bool      // given as UTF8 (RFC 6855, section 4): its headers may be UTF-8
	// Accept lets the client send (with a continuation request where the
	// literal is synchronising) and returns exactly Size octets.
	Accept func() (io.Reader, error)
	// Refuse skips the literal and the rest of the command, so that the next
	// command is read from where it starts; if that is beyond the drain
	// bound it returns an error and the connection must end with BYE. The
	// caller answers NO.
	Refuse func() error
}

// Fetch is FETCH or UID FETCH.
type Fetch struct {
	Set   imap.NumSet // imap.UIDSet for UID FETCH; may be imap.SearchRes()
	UID   bool
	Items imap.FetchOptions // macros expanded; UID true for UID FETCH
	// What the library's options cannot carry, for it answers by other names:
	RFC822       bool // as RFC822, sets \Seen
	RFC822Header bool // as RFC822.HEADER, does not set \Seen
	RFC822Text   bool // as RFC822.TEXT, sets \Seen
	RFC822Peek   bool // RFC822.PEEK of old Outlooks, answered as RFC822
	// BODY beside BODYSTRUCTURE; Items.BodyStructure is then the extended one.
	BothStructures bool
	// Items that the library does not know.
	SaveDate bool // RFC 8514
	EmailID  bool // RFC 8474
	ThreadID bool
	Vanished bool // the modifier of UID FETCH beside CHANGEDSINCE (RFC 7162)
}

// Store is STORE or UID STORE.
type Store struct {
	Set            imap.NumSet
	UID            bool
	Flags          imap.StoreFlags
	UnchangedSince *uint64
}

// Copy is COPY, MOVE and their UID forms.
type Copy struct {
	Set     imap.NumSet
	UID     bool
	Move    bool
	Mailbox string
}

// Expunge is EXPUNGE or, with UIDs, UID EXPUNGE.
type Expunge struct{ UIDs imap.UIDSet }

// Search is SEARCH or UID SEARCH.
type Search struct {
	UID      bool
	Extended bool               // RETURN was given
	Return   imap.SearchOptions // RETURN () means ReturnAll
	Charset  string             // upper case; "" if not given
	Key      *SearchKey
}

// SearchKey is a node of a search program. The library's SearchCriteria has
// no OLDER, YOUNGER or nested order, so the tree is ours; its leaves carry the
// library's criteria.
type SearchKey struct {
	Op   SearchOp
	Keys []*SearchKey // And: any number; Or: two; Not: one
	// Leaf, for Op == SearchLeaf: exactly one criterion is set.
	Leaf imap.SearchCriteria
	// SeqSet or UIDSet, for SearchSet; may be imap.SearchRes().
	Set imap.NumSet
	// Age, for SearchOlder and SearchYounger (RFC 5032), in seconds.
	Age time.Duration
	// Day, for SearchSavedBefore and SearchSavedSince (RFC 8514); midnight UTC.
	Day time.Time
	// ID, for SearchEmailID and SearchThreadID (RFC 8474).
	ID string
	// Recent and its kin are not stored flags: SearchRecent, SearchNew, SearchOld.
}

// Numbered tells whether the key has sequence numbers in it.
func (k *SearchKey) Numbered() bool {
	if k.Op == SearchSet {
		_, ok := k.Set.(imap.SeqSet)
		return ok
	}
	return slices.ContainsFunc(k.Keys, (*SearchKey).Numbered)
}

// SearchOp is the kind of a SearchKey.
type SearchOp int

// The kinds of search key.
const (
	SearchAll SearchOp = iota
	SearchAnd
	SearchOr
	SearchNot
	SearchLeaf
	SearchSet
	SearchOlder
	SearchYounger
	SearchRecent
	SearchNew
	SearchOld
	SearchSavedBefore
	SearchSavedSince
	SearchEmailID
	SearchThreadID
)

// GetQuota is GETQUOTA (RFC 9208).
type GetQuota struct{ Root string }

// GetQuotaRoot is GETQUOTAROOT.
type GetQuotaRoot struct{ Mailbox string }

// SetQuota is SETQUOTA, which only an administrator may do elsewhere.
type SetQuota struct{ Root string }

func (*Capability) args()   {}
func (*Noop) args()         {}
func (*Logout) args()       {}
func (*StartTLS) args()     {}
func (*Check) args()        {}
func (*Close) args()        {}
func (*Unselect) args()     {}
func (*Namespace) args()    {}
func (*Idle) args()         {}
func (*Login) args()        {}
func (*Authenticate) args() {}
func (*Enable) args()       {}
func (*ID) args()           {}
func (*Select) args()       {}
func (*Create) args()       {}
func (*Delete) args()       {}
func (*Rename) args()       {}
func (*Subscribe) args()    {}
func (*List) args()         {}
func (*Status) args()       {}
func (*Append) args()       {}
func (*Fetch) args()        {}
func (*Store) args()        {}
func (*Copy) args()         {}
func (*Expunge) args()      {}
func (*Search) args()       {}
func (*GetQuota) args()     {}
func (*GetQuotaRoot) args() {}
func (*SetQuota) args()     {}
