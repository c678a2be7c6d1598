package prometheus

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
)

// maxSamples is how many values a query may return. A condition looks at all
// of them, and nobody reads more.
const maxSamples = 10_000

// valueOf is the result that conditions see: a number for a scalar, the
// numbers in the order of the reply for a vector or a matrix.
func valueOf(reply model.Value) (any, string, error) {
	switch v := reply.(type) {
	case *model.Scalar:
		return float64(v.Value), number(float64(v.Value)), nil
	case model.Vector:
		values, err := vector(v)
		return values, list(values), err
	case model.Matrix:
		values, err := matrix(v)
		return values, list(values), err
	case nil:
		return nil, "", fmt.Errorf("the reply holds no result")
	default:
		return nil, "", fmt.Errorf("the query returns a %s; it must return a scalar, a vector or a matrix", reply.Type())
	}
}

func vector(samples model.Vector) ([]float64, error) {
	if len(samples) > maxSamples {
		return nil, tooMany(len(samples))
	}
	values := make([]float64, 0, len(samples))
	for _, sample := range samples {
		if sample == nil || sample.Histogram != nil {
			return nil, errHistogram()
		}
		values = append(values, float64(sample.Value))
	}
	return values, nil
}

func matrix(series model.Matrix) ([]float64, error) {
	total := 0
	for _, s := range series {
		total += len(s.Values)
		if len(s.Histograms) > 0 {
			return nil, errHistogram()
		}
	}
	if total > maxSamples {
		return nil, tooMany(total)
	}
	values := make([]float64, 0, total)
	for _, s := range series {
		for _, pair := range s.Values {
			values = append(values, float64(pair.Value))
		}
	}
	return values, nil
}

func tooMany(n int) error {
	return fmt.Errorf("the query returns %d samples, above the limit of %d; aggregate it, for example with sum()", n, maxSamples)
}

func errHistogram() error {
	return fmt.Errorf("the query returns histograms; take a number from them, for example with histogram_quantile()")
}

func number(f float64) string {
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func list(values []float64) string {
	parts := make([]string, len(values))
	for i, value := range values {
		parts[i] = number(value)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
