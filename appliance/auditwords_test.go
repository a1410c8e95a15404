package appliance

import (
	"os"
	"strings"
	"testing"

	"pillarbox/appliance/audit"
)

// TestThePagesHaveWordsForAllThatIsRecorded wants each kind of record among the
// words of the pages, and among what can be chosen there.
func TestThePagesHaveWordsForAllThatIsRecorded(t *testing.T) {
	text, err := os.ReadFile("../webui/auditwords.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range audit.Kinds() {
		topic, _, _ := strings.Cut(string(s.Kind), ".")
		for _, want := range []string{`"` + string(s.Kind) + `": `, `{"` + topic + `", `} {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), want) {
				t.Errorf("there is no %s", want)
			}
		}
	}
}
