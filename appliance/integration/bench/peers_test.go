package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"pillarbox/appliance/integration/rig"
)

// peersVariable says how many times each workload is measured; the comparison
// takes minutes and runs only where it is set.
const peersVariable = "PILLARBOX_PEERS"

// onlyVariable is a regular expression of the workloads that are measured.
const onlyVariable = "PILLARBOX_PEERS_ONLY"

// keyVariable is rsa where all are to present a certificate with an RSA key, of
// 2,048 bits, in place of the box's own.
const keyVariable = "PILLARBOX_PEERS_KEY"

// subject is a server with the archive in the INBOX of user.
type subject struct {
	server
	t       *testing.T
	octets  int64
	letters *letters
	set     map[string]bool // whether a workload has set its flags
}

// TestPeers measures the box and Dovecot with the same client, mail and
// durability, in turn, and prints what each took (lines that benchstat reads:
// -col /server) and a table of ratios.
func TestPeers(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(peersVariable))
	if rounds == 0 {
		t.Skipf("set %s to the number of rounds", peersVariable)
	}
	subjects := newSubjects(t)
	fmt.Printf("pkg: pillarbox/appliance/integration/bench\nrounds: %d\ndovecot: %s\n", rounds, dovecotVersion())
	var table [][]result
	only, err := regexp.Compile(os.Getenv(onlyVariable))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads {
		if !only.MatchString(w.name) {
			continue
		}
		row := make([]result, len(subjects))
		for round := range rounds {
			if w.once && round > 0 {
				break
			}
			for i, s := range subjects {
				row[i].add(s, w)
			}
		}
		table = append(table, row)
	}
	printTable(subjects, table)
}

func dovecotVersion() string {
	out, err := exec.Command("dovecot", "--version").Output()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(out))
}

// newSubjects starts the servers and fills them.
func newSubjects(t *testing.T) []*subject {
	t.Helper()
	binary, err := rig.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	box := rig.NewBox(t, binary)
	box.AddAccount(t, "setup@office.example", password)
	box.Start(t) // makes the certificate that all show
	servers := []server{pillarbox{box}, newDovecot(t, "sdbox", box), newDovecot(t, "maildir", box)}
	var subjects []*subject
	for i, s := range servers {
		if i == 0 {
			if s.stop(t); os.Getenv(keyVariable) == "rsa" {
				presentRSA(t, box)
			}
		}
		for _, address := range append([]string{user, postbox}, idlers[:]...) {
			s.addAccount(t, address)
		}
		s.start(t)
		subjects = append(subjects, &subject{server: s, t: t, letters: newLetters(), set: map[string]bool{}})
	}
	for _, s := range subjects {
		begin := time.Now()
		s.fill()
		fmt.Printf("# %s was filled in %v\n", s.name(), time.Since(begin).Round(time.Millisecond))
		s.filled(t)
	}
	return subjects
}

// result is what one server took for a workload, round by round.
type result struct {
	workload *workload
	samples  []float64
}

func (r *result) add(s *subject, w *workload) {
	r.workload = w
	v := w.run(s)
	r.samples = append(r.samples, v)
	unit, text := "ns/op", strconv.FormatFloat(v*1e9, 'f', 0, 64)
	if w.unit == octets {
		unit, text = "B", strconv.FormatFloat(v, 'f', 0, 64)
	}
	fmt.Printf("BenchmarkPeers/%s/server=%s 1 %s %s\n", w.name, s.name(), text, unit)
}

func (r *result) median() float64 {
	sorted := slices.Sorted(slices.Values(r.samples))
	return sorted[len(sorted)/2]
}

// show writes a median as people read it.
func (r *result) show() string {
	v := r.median()
	switch w := r.workload; {
	case w.unit == octets:
		return fmt.Sprintf("%.0f MB", v/1e6)
	case w.unit != "":
		return fmt.Sprintf("%.0f %s/s", w.count/v, w.unit)
	default:
		return fmt.Sprintf("%.2f ms", v*1000)
	}
}

// printTable prints medians, and how many times better the box is.
func printTable(subjects []*subject, table [][]result) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	defer out.Flush()
	head, rule := "| what", "|---"
	for i, s := range subjects {
		head += "\t| " + s.name()
		rule += "\t|---"
		if i > 0 {
			head += "\t| ratio"
			rule += "\t|---"
		}
	}
	fmt.Fprintf(out, "%s\t|\n%s\t|\n", head, rule)
	for _, row := range table {
		line := "| " + row[0].workload.title
		for i := range row {
			line += "\t| " + row[i].show()
			if i > 0 {
				line += fmt.Sprintf("\t| %.2f", row[i].median()/row[0].median())
			}
		}
		fmt.Fprintf(out, "%s\t|\n", line)
	}
}
