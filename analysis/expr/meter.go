package expr

import (
	"errors"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// The names under which a budget is known to a compiled expression. Whoever
// writes them pays once more.
const (
	nameSpend   = "$spend"
	nameKeep    = "$keep"
	nameLoad    = "$load"
	nameBrief   = "$brief"
	nameAdd     = "$add"
	nameMatches = "$matches"
)

// meters are the functions by which an expression pays for its work.
func (b *budget) meters() map[string]any {
	return map[string]any{
		nameSpend: b.spend, nameKeep: b.keep, nameLoad: b.load, nameBrief: b.brief,
		nameAdd: b.add, nameMatches: b.matches,
	}
}

// spend pays for looking at a value and returns it.
func (b *budget) spend(args ...any) any {
	b.pay(args[0])
	return args[0]
}

// keep pays for looking at a value and for a copy of it.
func (b *budget) keep(args ...any) any {
	b.fill(b.pay(args[0]) * roomOfValue)
	return args[0]
}

// load pays for the name of a time zone, which is looked up in a file.
func (b *budget) load(args ...any) any {
	b.take(200)
	return b.spend(args...)
}

// brief pays for an argument of a method, and for the text that the method may
// make of it. No layout of a time is long.
func (b *budget) brief(args ...any) any {
	if text, ok := args[0].(string); ok {
		if len(text) > 256 {
			panic(errors.New("a method takes no text above 256 bytes"))
		}
		b.grow(4 * len(text))
	}
	return b.spend(args...)
}

// add is the operator +, which joins texts.
func (b *budget) add(args ...any) any {
	b.take(1)
	left, okLeft := args[0].(string)
	right, okRight := args[1].(string)
	if okLeft && okRight {
		b.grow(len(left) + len(right))
	}
	return runtime.Add(args[0], args[1])
}

// patterned replaces the operator matches before anybody compiles what stands
// on its right: the compiler does so for a text, and has no limits.
type patterned struct{}

// Visit is called for each node, parts before the whole.
func (patterned) Visit(node *ast.Node) {
	if n, ok := (*node).(*ast.BinaryNode); ok && n.Operator == "matches" {
		ast.Patch(node, call(nameMatches, n.Left, n.Right))
	}
}

// meter rewrites an expression so that it pays for its work: every turn of a
// loop, every value given to a function or compared, every text it builds. The
// functions of environment pay for themselves.
type meter struct{}

// Visit is called for each node, parts before the whole.
func (meter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		n.Node = call(nameSpend, n.Node)
	case *ast.BuiltinNode:
		wrap(n.Arguments, nameOf(n.Name))
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); !ok || !own(name.Value) {
			wrap(n.Arguments, nameBrief) // A method, perhaps held in a variable.
		}
	case *ast.MapNode:
		ast.Patch(node, call(nameKeep, n))
	case *ast.BinaryNode:
		meterOperator(node, n)
	}
}

// nameOf is how the arguments of a function of the language are paid for.
func nameOf(function string) string {
	switch function {
	case "concat", "flatten", "fromPairs", "groupBy", "keys", "median", "reverse", "sort", "sortBy", "toPairs", "values":
		return nameKeep
	case "date", "timezone":
		return nameLoad
	default:
		return nameSpend
	}
}

// own reports a function of environment.
func own(name string) bool {
	return slices.Contains(added, name) || slices.Contains(replaced, name) || name == nameMatches
}

func meterOperator(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "&&", "||", "and", "or", "..", "??", "-", "*", "/", "%", "**", "^":
	case "+":
		ast.Patch(node, call(nameAdd, n.Left, n.Right))
	default:
		sides := []ast.Node{n.Left, n.Right}
		wrap(sides, nameSpend)
		n.Left, n.Right = sides[0], sides[1]
	}
}

// wrap makes values pass through a function. Constants are as long as the
// source, which has its own limit.
func wrap(nodes []ast.Node, name string) {
	for i, node := range nodes {
		switch node.(type) {
		case *ast.PredicateNode, *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		case *ast.StringNode, *ast.ConstantNode:
			if name != nameSpend {
				nodes[i] = call(name, node)
			}
		default:
			nodes[i] = call(name, node)
		}
	}
}

func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}
