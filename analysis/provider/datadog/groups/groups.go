// Package groups tells in the metadata of a measurement which group of a query
// has which value.
package groups

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Keys of the metadata of a measurement. They are served API.
const (
	// Key of the names and values of the groups, as JSON.
	Key = "groups"
	// Truncated is true when some groups are left out.
	Truncated = "groups_truncated"
)

// longest is how long the groups may be as JSON. The status cuts what is above
// 2 KiB, and cut JSON is none.
const longest = 2000

// Row is a group and its value; its name is empty where the query does not group.
type Row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Metadata tells of rows. Where that is too long for a status, groups in the
// middle are left out: one that is bad is at an end.
func Metadata(rows []Row) map[string]string {
	text, _ := json.Marshal(rows) // texts and finite numbers always encode
	told := map[string]string{Key: string(text)}
	if len(text) <= longest {
		return told
	}
	rows = slices.SortedStableFunc(slices.Values(rows), func(a, b Row) int { return cmp.Compare(a.Value, b.Value) })
	for len(text) > longest {
		rows = slices.Delete(rows, len(rows)/4, len(rows)-len(rows)/4)
		text, _ = json.Marshal(rows)
	}
	told[Key], told[Truncated] = string(text), "true"
	return told
}
