// Package annotatedcsv reads annotated CSV, the tables in which InfluxDB answers.
// It is pure: a text goes in, values come out. It knows no server.
package annotatedcsv

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRows is how many rows a query may return. A condition looks at all of
	// them, and nobody reads more.
	maxRows = 10_000
	// maxColumns is how many columns a table may have.
	maxColumns = 200
)

// table is what stands before the rows of a table.
type table struct{ types, defaults, names []string }

// Values reads the column _value of every row: tables of annotations, names and
// rows, with a blank line after each, also where there is no table. A row
// without a value is nil. What an error repeats of the text is as the server
// wrote it.
func Values(text string) (values []any, err error) {
	if text == "" {
		return nil, errors.New("the reply is empty; the address may lead to something else")
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var t table
	for text != "" {
		var cells []string
		if cells, text, err = row(text); err != nil {
			return nil, err
		}
		if len(cells) > maxColumns {
			return nil, fmt.Errorf("the query returns %d columns, above the limit of %d; keep() those that the metric needs", len(cells), maxColumns)
		}
		switch {
		case t.annotate(cells):
		case t.names != nil:
			value, err := t.value(cells)
			if err != nil {
				return nil, err
			}
			if values = append(values, value); len(values) > maxRows {
				return nil, fmt.Errorf("the query returns more than %d rows; aggregate them, for example with mean()", maxRows)
			}
		case slices.Contains(cells[:min(2, len(cells))], "error"):
			said, _, _ := row(text)
			return nil, fmt.Errorf("the query failed: %s", strings.Join(said, " "))
		case len(t.types) != len(cells):
			return nil, errors.New("the reply is no annotated CSV; the address may lead to something else")
		default:
			t.names = cells
		}
	}
	return values, nil
}

// annotate takes what stands before the names: a row of annotations, or the
// blank one that ends the table before. It is false for a row of another kind.
func (t *table) annotate(cells []string) bool {
	blank, annotation := len(cells) == 1 && cells[0] == "", strings.HasPrefix(cells[0], "#")
	if blank || (annotation && t.names != nil) {
		*t = table{}
	}
	switch cells[0] {
	case "#datatype":
		t.types = cells
	case "#default":
		t.defaults = cells
	}
	return blank || annotation
}

// value is what a row has in the column _value; nil where there is none.
func (t table) value(cells []string) (value any, err error) {
	at := slices.Index(t.names, "_value")
	if len(cells) != len(t.names) {
		return nil, fmt.Errorf("a row of the reply has %d columns and its table %d", len(cells), len(t.names))
	}
	if at < 0 {
		return nil, nil
	}
	text := cells[at]
	if text == "" && at < len(t.defaults) {
		text = t.defaults[at]
	}
	kind := t.types[at]
	switch {
	case text == "":
	case kind == "string":
		value = text
	case kind == "double":
		value, err = strconv.ParseFloat(text, 64)
	case kind == "long":
		value, err = strconv.ParseInt(text, 10, 64)
	case kind == "unsignedLong":
		value, err = strconv.ParseUint(text, 10, 64)
	case kind == "boolean":
		value, err = strconv.ParseBool(text)
	case strings.HasPrefix(kind, "dateTime:"):
		value, err = time.Parse(time.RFC3339Nano, text)
	default:
		return nil, fmt.Errorf("values of type %s are not served; convert them in the query, for example with float()", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("the reply has a value that is no %s", kind)
	}
	return value, nil
}

// row takes the first row off a text.
func row(text string) (cells []string, rest string, err error) {
	var cell strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && quoted && strings.HasPrefix(text[i+1:], `"`):
			cell.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			return append(cells, cell.String()), text[i+1:], nil
		case c != ',' || quoted:
			cell.WriteByte(c)
		default:
			cells = append(cells, cell.String())
			cell.Reset()
		}
	}
	if quoted {
		return nil, "", errors.New("the reply ends within a quoted text")
	}
	return append(cells, cell.String()), "", nil
}
