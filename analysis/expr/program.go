package expr

import (
	"fmt"
	"strings"
	"time"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// program is a compiled expression for values of one type.
type program struct {
	code *vm.Program
	// minds is which values without meaning the author thought of.
	minds minds
}

// compile checks the types of an expression against a value like the ones it
// will see, and compiles it. It may be run any number of times.
func compile(source string, sample any, want exprlang.Option) (program, error) {
	if err := checkSize(source); err != nil {
		return program{}, err
	}
	tree, err := parser.Parse(source)
	if err != nil {
		return program{}, fmt.Errorf("expression does not parse: %s", brief(err))
	}
	env := environment(sample, time.Time{}, &budget{})
	options := []exprlang.Option{exprlang.Env(env), want, exprlang.Optimize(false)}
	for _, name := range replaced {
		options = append(options, exprlang.DisableBuiltin(name))
	}
	// Metering hides types from the checker, so types are checked without it first.
	if _, err := exprlang.Compile(source, options...); err != nil {
		return program{}, fmt.Errorf("expression does not compile: %s", brief(err))
	}
	code, err := exprlang.Compile(source, append(options, exprlang.Patch(meter{}))...)
	if err != nil {
		return program{}, fmt.Errorf("expression does not compile: %s", brief(err))
	}
	return program{code: code, minds: mindsOf(tree.Node)}, nil
}

// run evaluates the expression. A panic of the engine becomes an error.
func (p program) run(result any, now time.Time) (out any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("expression failed: %v", r)
		}
	}()
	out, err = exprlang.Run(p.code, environment(result, now, &budget{left: maxWork}))
	if err != nil {
		return nil, fmt.Errorf("expression failed: %s", brief(err))
	}
	return out, nil
}

// brief is the first line of an error of the engine; the others draw the
// source, which the reader has.
func brief(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	const most = 300
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return line
}

// minds is which values without meaning an expression provides for.
type minds struct {
	noData bool
	noNum  bool
}

// mindsOf finds the functions by which an author shows to have thought of
// missing data and of values that are not numbers.
func mindsOf(node ast.Node) minds {
	var m minds
	ast.Walk(&node, mindVisitor{&m})
	return m
}

type mindVisitor struct{ found *minds }

// Visit is called for each node of an expression.
func (v mindVisitor) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.NilNode:
		v.found.noData = true
	case *ast.BinaryNode:
		if n.Operator == "??" {
			v.found.noData = true
		}
	case *ast.BuiltinNode:
		if n.Name == "len" || n.Name == "count" {
			v.found.noData = true
		}
	case *ast.IdentifierNode:
		v.name(n.Value)
	}
}

func (v mindVisitor) name(name string) {
	switch name {
	case "isNil", "default":
		v.found.noData = true
	case "isNaN", "isInf":
		v.found.noNum = true
	}
}
