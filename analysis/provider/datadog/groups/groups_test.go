package groups

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTooManyGroupsAreToldByTheirEnds(t *testing.T) {
	rows := make([]Row, 1000)
	for i := range rows {
		rows[i] = Row{Name: fmt.Sprintf("resource-%d", i), Value: float64(i * 7 % 1000)}
	}
	got := Metadata(rows)
	var told []Row
	if err := json.Unmarshal([]byte(got[Key]), &told); err != nil {
		t.Fatal(err)
	}
	if len(told) < 10 || told[0].Value != 0 || told[len(told)-1].Value != 999 || len(got[Key]) > longest || got[Truncated] != "true" {
		t.Errorf("got %v", got)
	}
	long := Metadata([]Row{{Name: strings.Repeat("x", longest)}})
	if diff := cmp.Diff(map[string]string{Key: "[]", Truncated: "true"}, long); diff != "" {
		t.Error(diff)
	}
	if rows[1].Value != 7 {
		t.Error("the rows were changed")
	}
}
