package manifest

import (
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	kjson "k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// Unknown is a field that a type does not have.
type Unknown struct {
	// Path of the field.
	Path string
	// Message says what is wrong with it.
	Message string
}

// strict decodes into what it is given: its scheme knows no kind.
var strict = func() *kjson.Serializer {
	none := runtime.NewScheme()
	return kjson.NewSerializerWithOptions(kjson.DefaultMetaFactory, none, none, kjson.SerializerOptions{Strict: true})
}()

var unknownField = regexp.MustCompile(`^unknown field (".*")$`)

// Decode decodes JSON into an object, with names of fields exactly as they are
// written, as the API server does. Fields that the object does not have are
// listed, and the rest is decoded. Fields that are given twice are for Read.
func Decode(text []byte, into runtime.Object) ([]Unknown, error) {
	_, _, err := strict.Decode(text, nil, into)
	problems, isStrict := runtime.AsStrictDecodingError(err)
	if err == nil || !isStrict {
		return nil, err //nolint:wrapcheck // Plain reads it.
	}
	var unknown []Unknown
	for _, problem := range problems.Errors() {
		if found := unknownField.FindStringSubmatch(problem.Error()); found != nil {
			path, err := strconv.Unquote(found[1])
			if err != nil {
				path = found[1]
			}
			unknown = append(unknown, Unknown{
				Path: path, Message: "there is no such field, so the API server refuses or drops it: correct its name or its place",
			})
		}
	}
	return unknown, nil
}
