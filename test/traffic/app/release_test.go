package main

import "testing"

func TestTags(t *testing.T) {
	for tag, want := range map[string]release{
		"v1":               {tag: "v1"},
		"v2-bad30":         {tag: "v2-bad30", bad: 30},
		"v2-abrupt":        {tag: "v2-abrupt", abrupt: true},
		"v3-unready":       {tag: "v3-unready", unready: true},
		"v3-bad100-abrupt": {tag: "v3-bad100-abrupt", bad: 100, abrupt: true},
	} {
		if got, err := parseRelease(tag); err != nil || got != want {
			t.Errorf("%s: %+v, %v", tag, got, err)
		}
	}
	for _, tag := range []string{"v2-", "v2-bad", "v2-bad101", "v2-bad-1", "v2-odd"} {
		if got, err := parseRelease(tag); err == nil {
			t.Errorf("%s is read as %+v", tag, got)
		}
	}
}

func TestThirtyOfEveryHundredFail(t *testing.T) {
	turn := turns{percent: 30}
	for range 5 {
		failed := 0
		for range 100 {
			if turn.fails() {
				failed++
			}
		}
		if failed != 30 {
			t.Errorf("%d of 100 fail", failed)
		}
	}
}
