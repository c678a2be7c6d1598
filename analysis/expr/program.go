package expr

import (
	"fmt"
	"strings"
	"time"

	exprlang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
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
	config := language(sample, want)
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return program{}, fmt.Errorf("expression does not parse: %s", brief(err))
	}
	minds := mindsOf(tree.Node)
	if sample == nil && minds.absent {
		// isNil(result) || result[0] > 1 asks first, so its other half may be of any type.
		config.Env.Fields["result"] = types.Any.Nature()
	}
	ast.Walk(&tree.Node, patterned{})
	// Metering hides types from the checker, so types are checked without it first.
	if _, err := checker.Check(tree, config); err != nil {
		return program{}, fmt.Errorf("expression does not compile: %s", brief(err))
	}
	ast.Walk(&tree.Node, meter{})
	if _, err := checker.Check(tree, config); err != nil {
		return program{}, fmt.Errorf("expression does not compile: %s", brief(err))
	}
	code, err := compiler.Compile(tree, config)
	if err != nil {
		return program{}, fmt.Errorf("expression does not compile: %s", brief(err))
	}
	return program{code: code, minds: minds}, nil
}

// language is what an expression over values like sample may say.
func language(sample any, want exprlang.Option) *conf.Config {
	config := conf.CreateNew()
	config.Optimize = false
	config.WithEnv(environment(sample, time.Time{}, &budget{}))
	for _, name := range replaced {
		delete(config.Builtins, name)
		config.Disabled[name] = true
	}
	want(config)
	return config
}

// run evaluates the expression. A panic of the engine becomes an error.
func (p program) run(result any, now time.Time) (out any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("expression failed: %v", r)
		}
	}()
	machine := vm.VM{MemoryBudget: maxValues}
	out, err = machine.Run(p.code, environment(result, now, newBudget()))
	if err != nil {
		return nil, fmt.Errorf("expression failed: %s", brief(err))
	}
	return out, nil
}

// brief is an error of the engine in one line, without the drawing of the
// source, which the reader has.
func brief(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n | ")
	text = strings.Join(strings.Fields(text), " ")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
