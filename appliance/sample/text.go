package sample

import (
	"math/rand/v2"
	"strings"
)

// words are what paragraphs are made of.
const words = `about account after agenda agree also already amount answer appointment architect
archive arrive ask attached back balance because before begin better between board boiler both
budget build call cannot car carpenter change check city client close coffee colour come comment
company complete concrete confirm contract copy cost could crane customer date day deadline decide
delay deliver delivery desk detail different discuss door draft drawing early east electrician end
engineer enough estimate evening every exact expect extra file final find first floor follow forget
forward found free friday from garden gave glass good green ground gutter half hand happy head heat
help here hold hope hour house idea important inspect instead insurance invoice issue january june
keep kitchen ladder large last late lead leave less letter level light line list little local long
look lunch machine make manager march material maybe measure meet meeting message metre minute missing
monday month more morning move much must name near need neighbour never next north note nothing
november number october offer office often open order other our over owner page paint paper part
party pay people permit person phone picture place plan please point possible post prepare present
price print problem project proposal public quarter question quick quite quote rain reach read ready
reason receive record repair reply report request rest result return right roof room round same
sample save scaffold schedule school second send september set several share sheet short should show
side sign signature simple site small soon south staff stair start state steel step still stone stop
storage store street study such suggest supplier sure surface survey table take team tell thank than
that their then there these thing think this thursday tile timber time today together tomorrow
total town trade truck tuesday under until update usual value very visit wait wall want warehouse
water wednesday week weight west what when where which while white whole window winter with without
wood word work would write year yesterday your`

// subjects are what people write about.
var subjects = []string{
	"Offer for the new roof", "Minutes of Monday's meeting", "Invoice 2026-%d", "Question about order %d",
	"Keys for the site office", "Lunch on Thursday?", "Draft of the contract", "Photos from the inspection",
	"Delivery of the windows is late", "Holiday plan", "New phone numbers", "Scaffold from week %d",
	"Angebot Nr. %d für die Dämmung", "Réunion de chantier du %d", "Faktura %d – påminnelse",
	"Счёт № %d", "御見積書 %d号", "تقرير الموقع رقم %d", "Προσφορά %d", "הצעת מחיר %d", "회의록 %d차",
	"Żółta ściana i łazienka", "Děkujeme za objednávku č. %d", "🏗️ Crane booked for day %d",
}

// correspondents are people outside the office.
var correspondents = []person{
	{"Jürgen Müller", "j.mueller@mueller-soehne.example"},
	{"山田 太郎", "yamada@seisakusho.example"},
	{"Zoë O'Brien", "zoe@glassworks.example"},
	{"Анна Кузнецова", "kuznetsova@stroy.example"},
	{"Søren Ångström", "soren@nordic-timber.example"},
	{"محمد العلي", "m.alali@architects.example"},
	{"Priya Raghunathan", "priya.r@structural.example"},
	{"Łukasz Wiśniewski", "lukasz@dachy.example"},
	{"City Building Permit Office", "permits@city.example"},
	{"Γιώργος Παπαδόπουλος", "g.papadopoulos@tiles.example"},
}

// person is somebody with an address.
type person struct{ name, address string }

// writer makes text by chance.
type writer struct {
	rnd   *rand.Rand
	words []string
}

func newWriter(seed uint64) *writer {
	return &writer{rnd: rand.New(rand.NewPCG(seed, 0x70696c6c6172)), words: strings.Fields(words)}
}

func pick[T any](w *writer, from []T) T { return from[w.rnd.IntN(len(from))] }

// paragraphs returns text of about n octets, in paragraphs of one line each.
func (w *writer) paragraphs(n int) []string {
	var all []string
	for n > 0 {
		p := w.paragraph(min(n, 300+w.rnd.IntN(500)))
		n -= len(p) + 2
		all = append(all, p)
	}

	return all
}

func (w *writer) paragraph(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.sentence())
	}

	return b.String()
}

func (w *writer) sentence() string {
	var b strings.Builder
	length := 4 + w.rnd.IntN(14)
	for i := range length {
		word := pick(w, w.words)
		switch {
		case i == 0:
			word = strings.ToUpper(word[:1]) + word[1:]
		case i > 2 && w.rnd.IntN(9) == 0:
			b.WriteByte(',')
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	b.WriteByte(".?.!..."[w.rnd.IntN(7)])

	return b.String()
}

// octets returns n octets that do not compress.
func (w *writer) octets(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		v := w.rnd.Uint64()
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}

	return b[:n]
}
