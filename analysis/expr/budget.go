package expr

import (
	"errors"
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

const (
	// maxWork is how many values one evaluation may look at. A vector of
	// 10,000 samples passes 100 times; loops within loops run out.
	maxWork = 1_000_000
	// maxText is the longest text one evaluation may build.
	maxText = 1 << 20
)

var (
	errWork = errors.New("expression takes too long: it looks at more than 1,000,000 values")
	errText = errors.New("expression builds a text longer than 1 MiB")
)

// The names under which a budget is known to a compiled expression. They are
// not words of the language, so a user cannot write them.
const (
	nameSpend = "$spend"
	nameAdd   = "$add"
)

// budget is what one evaluation may still do. Its methods panic when it is
// used up: that is how an expression is stopped from within.
type budget struct {
	left int
}

// spend pays for looking at a value and returns it.
func (b *budget) spend(args ...any) any {
	b.pay(args[0])
	return args[0]
}

// pay takes the size of a value from the budget, all its parts included. It
// walks no further than the budget goes.
func (b *budget) pay(value any) {
	b.take(1)
	switch v := value.(type) {
	case string:
		// Text is scanned far faster than values are visited.
		b.take(len(v) / 64)
	case []float64:
		b.take(len(v))
	case []any:
		for _, item := range v {
			b.pay(item)
		}
	case map[string]any:
		for _, item := range v {
			b.pay(item)
		}
	case nil, bool, int, int64, float64:
	default:
		b.payReflected(reflect.ValueOf(value))
	}
}

// payReflected pays for the rare values that are not made of JSON.
func (b *budget) payReflected(value reflect.Value) {
	switch value.Kind() {
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			b.pay(value.Index(i).Interface())
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			b.pay(value.MapIndex(key).Interface())
		}
	default:
	}
}

func (b *budget) take(n int) {
	b.left -= n
	if b.left < 0 {
		panic(errWork)
	}
}

// add is the operator +, for texts no longer than maxText.
func (b *budget) add(args ...any) any {
	b.take(1)
	left, okLeft := args[0].(string)
	right, okRight := args[1].(string)
	if okLeft && okRight {
		b.grow(len(left) + len(right))
	}
	return runtime.Add(args[0], args[1])
}

// grow pays for building a text.
func (b *budget) grow(size int) {
	if size < 0 || size > maxText {
		panic(errText)
	}
	b.take(size / 64)
}

// meter rewrites an expression so that it pays for its work: every turn of a
// loop, every value given to a function or compared, every text it builds.
type meter struct{}

// Visit is called by the compiler for each node, parts before the whole.
func (meter) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		n.Node = call(nameSpend, n.Node)
	case *ast.BuiltinNode:
		for i := range n.Arguments {
			n.Arguments[i] = metered(n.Arguments[i])
		}
	case *ast.BinaryNode:
		meterOperator(node, n)
	}
}

func meterOperator(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "&&", "||", "and", "or", "..", "??", "-", "*", "/", "%", "**", "^":
	case "+":
		ast.Patch(node, call(nameAdd, n.Left, n.Right))
	default:
		n.Left, n.Right = metered(n.Left), metered(n.Right)
	}
}

// metered wraps a node whose value has parts; constants are as long as the
// source, which has its own limit.
func metered(node ast.Node) ast.Node {
	switch node.(type) {
	case *ast.PredicateNode, *ast.NilNode, *ast.IntegerNode, *ast.FloatNode,
		*ast.BoolNode, *ast.StringNode, *ast.ConstantNode:
		return node
	default:
		return call(nameSpend, node)
	}
}

func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}
